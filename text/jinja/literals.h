#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shoal::jinja {

// A number as a template writes it: 42, 1_000, 0x1F, 2.5, 1e-3.
struct NumberLiteral {
  std::size_t num_bytes;
  bool is_float;
  std::int64_t integer;
  double number;
};
// text starts with a digit. After a point ("list.0.1") no number is a float. Throws when it is too large.
NumberLiteral scan_number(std::string_view text, bool may_be_float, int line);

// The value of a string literal's inside: Python's escapes are resolved. Throws for a broken one.
std::string unescaped(std::string_view inside, int line);

// int(text, base) and float(text) as Python reads them: white space around, a sign, underscores between
// digits.
std::optional<std::int64_t> parse_integer(std::string_view text, int base = 10);
std::optional<double> parse_float(std::string_view text);

}  // namespace shoal::jinja
