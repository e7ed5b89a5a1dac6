#pragma once

#include <span>

#include "text/jinja/methods.h"

// Each file of filters gives its part of the table; runtime.h's find_filter looks through all of them.
namespace shoal::jinja {

std::span<const Method> text_filters();
std::span<const Method> number_filters();
std::span<const Method> sequence_filters();   // one list in, one list or value out
std::span<const Method> selection_filters();  // map, select, reject, sort, groupby, ...

// A path of attributes and items, "function.name" or "0", or one int: what attribute=... means to a filter.
class AttributePath {
 public:
  explicit AttributePath(const Value& path);  // none: the item itself
  Value get(Runtime& runtime, Value item) const;
  // As get(), with `fallback` in place of each undefined step, unless it is none.
  Value get_or(Runtime& runtime, Value item, const Value& fallback) const;

 private:
  List parts_;
};

// A str in lower case, anything else as it is: what sort, unique and min compare unless case_sensitive.
Value without_case(const Value& value);

}  // namespace shoal::jinja
