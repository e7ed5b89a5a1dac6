#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/jinja/value.h"

namespace shoal::jinja {

struct Statement;

// A Jinja template as Hugging Face's transformers runs it: trim_blocks and lstrip_blocks on, an immutable
// sandbox, loop controls, raise_exception, strftime_now, and a tojson that escapes no HTML. Python's jinja2
// is the judge of what it renders (tests/text/jinja_judge.py). No files, no includes, nothing outside the
// context. Immutable after parse(): any number of threads may render at once.
class Template {
 public:
  // Unsupported when it does not parse, with the line.
  static Result<Template> parse(std::string_view source);

  // InvalidArgument when the template raises, fails, or passes a bound of budget.h; the line is in the
  // message.
  //   context  a dict of the template's variables; now  what strftime_now prints, as UTC
  Result<std::string> render(const Value& context, std::chrono::sys_seconds now = {}) const;

 private:
  explicit Template(std::vector<Statement> body);

  std::shared_ptr<const std::vector<Statement>> body_;
};

}  // namespace shoal::jinja
