#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/object.h"

namespace shoal::jinja {

// What a render carries along: its budget, its clock and the namespaces it made. Lives for one render.
class Runtime {
 public:
  explicit Runtime(std::chrono::sys_seconds now) : now_(now) {}
  ~Runtime();  // empties the namespaces, for they may hold each other
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Budget& budget() { return budget_; }
  std::chrono::sys_seconds now() const { return now_; }

  Value call(const Value& callee, Arguments arguments);
  // A filter or test by its name in the template; throws when there is none of that name.
  Value filter(const std::string& name, const Value& input, Arguments arguments);
  bool test(const std::string& name, const Value& input, Arguments arguments);

  Value new_namespace(Dict attributes);
  // str(value), counted.
  std::string str(const Value& value);
  // A str value, counted.
  Value text(std::string text);
  Value list(List items) { return new_list(std::move(items), budget_); }

 private:
  Budget budget_;
  std::chrono::sys_seconds now_;
  std::vector<std::shared_ptr<Namespace>> namespaces_;
};

// Null when there is none of that name. A filter's or test's `self` is what stands before it.
Function find_filter(std::string_view name);
Function find_test(std::string_view name);
// range, namespace, dict, cycler, joiner, raise_exception, strftime_now
Function find_global(std::string_view name);

}  // namespace shoal::jinja
