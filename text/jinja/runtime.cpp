#include "text/jinja/runtime.h"

#include <utility>

#include "text/jinja/print.h"

namespace shoal::jinja {

Runtime::~Runtime() {
  for (const std::shared_ptr<Namespace>& space : namespaces_) space->clear();
}

Value Runtime::call(const Value& callee, Arguments arguments) {
  budget_.step();
  if (callee.is_undefined()) throw_error(callee.why_undefined());
  if (!callee.is_object()) throw_error("'" + type_name(callee) + "' object is not callable");
  const std::shared_ptr<Object> object = callee.object();  // NOLINT: outlives its own name
  return object->call(*this, std::move(arguments));
}

Value Runtime::filter(const std::string& name, const Value& input, Arguments arguments) {
  budget_.step();
  const Function function = find_filter(name);
  if (function == nullptr) throw_error("there is no filter named '" + name + "'");
  return function(*this, input, std::move(arguments));
}

bool Runtime::test(const std::string& name, const Value& input, Arguments arguments) {
  budget_.step();
  const Function function = find_test(name);
  if (function == nullptr) throw_error("there is no test named '" + name + "'");
  return is_truthy(function(*this, input, std::move(arguments)));
}

Value Runtime::new_namespace(Dict attributes) {
  budget_.touch(sizeof(Namespace));
  namespaces_.push_back(std::make_shared<Namespace>(std::move(attributes)));
  return Value(namespaces_.back());
}

std::string Runtime::str(const Value& value) {
  std::string out;
  append_str_of(out, value, budget_);
  return out;
}

Value Runtime::text(std::string text) {
  if (text.size() > kMaxOutputBytes) {
    throw_error("the template makes a text of more than " + std::to_string(kMaxOutputBytes >> 20) + " MB");
  }
  budget_.touch(text.size());
  return Value(std::move(text));
}

}  // namespace shoal::jinja
