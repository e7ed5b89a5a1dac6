// Methods of dicts and lists, and the table of every type's methods. Methods that would change a value are
// not here: templates see immutable ones, as in Jinja's ImmutableSandboxedEnvironment.
#include <array>
#include <cmath>

#include "text/jinja/methods.h"
#include "text/jinja/operators.h"

namespace shoal::jinja {
namespace {

Value entries_view(Runtime& runtime, const Value& self, SequenceKind kind) {
  List items;
  const auto& entries = self.dict().entries();
  runtime.budget().step(entries.size());
  runtime.budget().touch(entries.size() * sizeof(Value));
  items.reserve(entries.size());
  for (const auto& [key, value] : entries) {
    items.push_back(kind == SequenceKind::DictKeys     ? key
                    : kind == SequenceKind::DictValues ? value
                                                       : Value::tuple({key, value}));
  }
  return Value::sequence(kind, std::move(items));
}

Value dict_items(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("items", std::move(arguments), {});
  return entries_view(runtime, self, SequenceKind::DictItems);
}

Value dict_keys(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("keys", std::move(arguments), {});
  return entries_view(runtime, self, SequenceKind::DictKeys);
}

Value dict_values(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("values", std::move(arguments), {});
  return entries_view(runtime, self, SequenceKind::DictValues);
}

Value dict_get(Runtime&, const Value& self, Arguments arguments) {
  if (!arguments.named.empty()) throw_error("dict.get() takes no keyword arguments");
  const Parameters p("get", std::move(arguments), {"key", "default"});
  const Value* value = self.dict().find(p.required(0));
  return value == nullptr ? p.optional(1, Value::none()) : *value;
}

Value copy(Runtime&, const Value& self, Arguments arguments) {
  const Parameters none("copy", std::move(arguments), {});
  return self;  // what cannot change needs no copy
}

// Of lists, tuples and ranges.
Value list_index(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("index", std::move(arguments), {"value"});
  Cursor cursor(self);
  for (std::int64_t i = 0; const std::optional<Value> item = cursor.next(); ++i) {
    if (is_equal(*item, p.required(0), runtime.budget())) return i;
  }
  throw_error("index(): the value is not in the list");
}

Value list_count(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("count", std::move(arguments), {"value"});
  Cursor cursor(self);
  std::int64_t count = 0;
  while (const std::optional<Value> item = cursor.next())
    count += is_equal(*item, p.required(0), runtime.budget()) ? 1 : 0;
  return count;
}

Value is_whole(Runtime&, const Value& self, Arguments arguments) {
  const Parameters none("is_integer", std::move(arguments), {});
  return std::floor(self.number()) == self.number();
}

constexpr std::array kDictMethods = std::to_array<Method>(
    {{"copy", copy}, {"get", dict_get}, {"items", dict_items}, {"keys", dict_keys}, {"values", dict_values}});
constexpr std::array kListMethods =
    std::to_array<Method>({{"copy", copy}, {"count", list_count}, {"index", list_index}});
constexpr std::array kTupleMethods = std::to_array<Method>({{"count", list_count}, {"index", list_index}});
constexpr std::array kFloatMethods = std::to_array<Method>({{"is_integer", is_whole}});

// Python has these, and the sandbox keeps templates from them.
constexpr std::string_view kForbiddenOfDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kForbiddenOfList[] = {"append", "clear",  "extend",  "insert",
                                                 "pop",    "remove", "reverse", "sort"};

std::span<const Method> methods_of(const Value& value) {
  if (value.is_string()) return string_methods();
  if (value.is_dict()) return kDictMethods;
  if (value.is_list()) return kListMethods;
  if (value.is_tuple() || value.is_range()) return kTupleMethods;
  if (value.is_float()) return kFloatMethods;
  return {};
}

std::span<const std::string_view> forbidden_of(const Value& value) {
  if (value.is_dict()) return kForbiddenOfDict;
  if (value.is_list()) return kForbiddenOfList;
  return {};
}

}  // namespace

std::optional<Value> method_of(const Value& value, const std::string& name) {
  for (const Method& method : methods_of(value)) {
    if (method.name == name) return Value(std::make_shared<BoundFunction>(name, method.function, value));
  }
  for (const std::string_view forbidden : forbidden_of(value)) {
    if (forbidden != name) continue;
    return Value::undefined("access to attribute '" + name + "' of '" + type_name(value) +
                            "' object is unsafe");
  }
  return std::nullopt;
}

}  // namespace shoal::jinja
