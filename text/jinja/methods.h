#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "text/jinja/object.h"

namespace shoal::jinja {

struct Method {
  std::string_view name;
  Function function;
};

// str's methods (methods.cpp has the other types').
std::span<const Method> string_methods();

// --- text operations that a method and a filter share (text_tools.cpp)

// text with up to `count` occurrences of `old` replaced, all for a negative count.
std::string replaced(Runtime& runtime, const std::string& text, const std::string& old,
                     const std::string& replacement, std::int64_t count);
// text padded with `fill` to `width` code points, on the left, the right, or both.
std::string justified(Runtime& runtime, const std::string& text, std::int64_t width, const std::string& fill,
                      bool left, bool right);
// All letters that have a case have this one, and there is one.
bool is_all_cased(std::string_view text, bool upper);

}  // namespace shoal::jinja
