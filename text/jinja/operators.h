#pragma once

#include <optional>
#include <string>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

// What Python's operators and subscripts do, over Values. Each throws TemplateError where Python raises, and
// where an int would pass 64 bits.
namespace shoal::jinja {

Value arithmetic(Runtime& runtime, ArithmeticOperator op, const Value& a, const Value& b);
Value negated(const Value& value);
Value unary_plus(const Value& value);

bool compares(Runtime& runtime, CompareOperator op, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& value);

// object.name: the attribute, else the item; object[key]: the item, else the attribute. Undefined when
// neither is there; throws when the object itself is undefined.
Value attribute_of(Runtime& runtime, const Value& object, const std::string& name);
Value item_of(Runtime& runtime, const Value& object, const Value& key);
// object[start:stop:step], each an int or none
Value slice_of(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
               const Value& step);

// value's method of that name, bound; nullopt when the type has none.
std::optional<Value> method_of(const Value& value, const std::string& name);

// format % values
std::string printf_formatted(Runtime& runtime, const std::string& format, const Value& values);
// format.format(...)
std::string brace_formatted(Runtime& runtime, const std::string& format, const Arguments& arguments);

}  // namespace shoal::jinja
