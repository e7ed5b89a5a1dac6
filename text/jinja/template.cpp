#include "text/jinja/template.h"

#include "base/check.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/lexer.h"
#include "text/jinja/parser.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

Failure failure(ErrorCode code, const TemplateError& error) {
  const std::string where = error.line > 0 ? ", line " + std::to_string(error.line) : "";
  return fail(code, "chat template" + where + ": " + error.message);
}

}  // namespace

Template::Template(Body body) : body_(std::make_shared<const Body>(std::move(body))) {}

Result<Template> Template::parse(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    return fail(ErrorCode::Unsupported, "chat template of " + std::to_string(source.size()) +
                                            " bytes: at most " + std::to_string(kMaxTemplateBytes) +
                                            " are read");
  }
  if (!is_utf8(source)) return fail(ErrorCode::Unsupported, "chat template: it is not UTF-8 text");
  try {
    return Template(Parser(tokenize(source)).parse());
  } catch (const TemplateError& error) {
    return failure(ErrorCode::Unsupported, error);
  }
}

Result<std::string> Template::render(const Value& context, std::chrono::sys_seconds now) const {
  SHOAL_CHECK(context.is_dict());
  try {
    Runtime runtime(now);
    return Interpreter(context.dict(), runtime).run(*body_);
  } catch (const TemplateError& error) {
    return failure(ErrorCode::InvalidArgument, error);
  }
}

}  // namespace shoal::jinja
