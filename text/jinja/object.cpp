#include "text/jinja/object.h"

#include <algorithm>

#include "text/jinja/print.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {

Parameters::Parameters(const char* function, Arguments arguments, std::initializer_list<const char*> names)
    : function_(function), names_(names), values_(names.size()) {
  if (arguments.positional.size() > names_.size()) {
    throw_error(std::string(function) + "() takes at most " + std::to_string(names_.size()) +
                " arguments, got " + std::to_string(arguments.positional.size()));
  }
  std::move(arguments.positional.begin(), arguments.positional.end(), values_.begin());
  for (auto& [name, value] : arguments.named) {
    const auto place = std::find(names_.begin(), names_.end(), name);
    if (place == names_.end()) throw_error(std::string(function) + "() has no argument '" + name + "'");
    std::optional<Value>& slot = values_[static_cast<std::size_t>(place - names_.begin())];
    if (slot) throw_error(std::string(function) + "() got two values for '" + name + "'");
    slot = std::move(value);
  }
}

const Value& Parameters::required(std::size_t i) const {
  if (!values_[i]) throw_error(std::string(function_) + "() needs its argument '" + names_[i] + "'");
  return *values_[i];
}

std::int64_t Parameters::integer(std::size_t i) const {
  const Value& value = required(i);
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (!value.is_integral()) {
    throw_error(std::string(function_) + "() wants an int for '" + names_[i] + "', not " + type_name(value));
  }
  return value.integer();
}

const std::string& Parameters::string(std::size_t i) const {
  const Value& value = required(i);
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (!value.is_string()) {
    throw_error(std::string(function_) + "() wants a str for '" + names_[i] + "', not " + type_name(value));
  }
  return value.string();
}

void Object::append_repr(std::string& out, Budget& budget) const {
  budget.append(out, "<" + type_name() + " object>");
}

Value Object::call(Runtime&, Arguments) { throw_error("'" + type_name() + "' object is not callable"); }

Value BoundFunction::call(Runtime& runtime, Arguments arguments) {
  return function_(runtime, self_, std::move(arguments));
}

Value Iterator::make(List items, const char* type_name) {
  return Value(std::make_shared<Iterator>(std::move(items), std::nullopt, type_name));
}

Iterator::Iterator(List items, std::optional<TemplateError> error, const char* type_name)
    : items_(std::move(items)), error_(std::move(error)), type_name_(type_name) {
  for (const Value& item : items_) depth_ = std::max(depth_, item.depth() + 1);
  if (depth_ > kMaxNesting) throw_error("lists nest more than " + std::to_string(kMaxNesting) + " deep");
}

std::optional<Value> Iterator::next() {
  if (next_ < items_.size()) return items_[next_++];
  if (error_) throw *error_;
  return std::nullopt;
}

void Namespace::append_repr(std::string& out, Budget& budget) const {
  const Budget::Call call(budget);  // it may hold itself
  budget.append(out, "<Namespace ");
  append_repr_of(out, Value(attributes_), budget);
  budget.append(out, ">");
}

std::optional<Value> Namespace::attribute(Runtime&, const std::string& name) {
  const Value* value = attributes_.find(name);
  return value == nullptr ? std::nullopt : std::optional<Value>(*value);
}

bool is_iterable(const Value& value) {
  if (value.is_object()) return value.object()->is_iterable();
  return !value.is_none() && !value.is_number();
}

bool is_callable(const Value& value) {
  return value.is_undefined() || (value.is_object() && value.object()->is_callable());
}

Cursor::Cursor(Value iterable) : iterable_(std::move(iterable)) {
  if (!is_iterable(iterable_)) throw_error("'" + type_name(iterable_) + "' object is not iterable");
}

std::optional<Value> Cursor::next() {
  if (iterable_.is_object()) return iterable_.object()->next();
  if (iterable_.is_sequence()) {
    const List& items = iterable_.sequence().items;
    return position_ < items.size() ? std::optional(items[position_++]) : std::nullopt;
  }
  if (iterable_.is_dict()) {
    const auto& entries = iterable_.dict().entries();
    return position_ < entries.size() ? std::optional(entries[position_++].first) : std::nullopt;
  }
  if (iterable_.is_range()) {
    const Range& range = iterable_.range();
    const auto i = static_cast<std::int64_t>(position_++);
    return i < range.size() ? std::optional<Value>(range.at(i)) : std::nullopt;
  }
  if (iterable_.is_undefined() || position_ >= iterable_.string().size()) return std::nullopt;
  const std::string_view rest = std::string_view(iterable_.string()).substr(position_);
  const std::size_t size = first_code_point(rest).num_bytes;
  position_ += size;
  return Value(rest.substr(0, size));
}

List items_of(const Value& iterable, Budget& budget) {
  Cursor cursor(iterable);
  List items;
  while (std::optional<Value> item = cursor.next()) {
    budget.step();
    budget.touch(sizeof(Value));
    items.push_back(*std::move(item));
  }
  return items;
}

Value new_list(List items, Budget& budget) {
  budget.touch(items.size() * sizeof(Value));
  return Value::list(std::move(items));
}

}  // namespace shoal::jinja
