#include "text/jinja/literals.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "text/jinja/budget.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'z') return c - 'a' + 10;
  return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

// Bytes of digits in that base, single underscores between them allowed.
std::size_t num_digit_bytes(std::string_view text, int base) {
  std::size_t size = 0;
  while (size < text.size()) {
    const bool underscore = text[size] == '_' && size > 0 && size + 1 < text.size();
    const std::size_t digit = size + (underscore ? 1 : 0);
    if (digit_value(text[digit]) >= base) break;
    size = digit + 1;
  }
  return size;
}

std::string without_underscores(std::string_view text) {
  std::string out(text);
  std::erase(out, '_');
  return out;
}

std::optional<std::int64_t> to_integer(std::string_view digits, int base) {
  const std::string plain = without_underscores(digits);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), value, base);
  if (error != std::errc() || end != plain.data() + plain.size()) return std::nullopt;
  return value;
}

// Bytes of `e+12` here, or 0.
std::size_t num_exponent_bytes(std::string_view text) {
  if (text.empty() || (text[0] != 'e' && text[0] != 'E')) return 0;
  const std::size_t sign = text.size() > 1 && (text[1] == '+' || text[1] == '-') ? 1 : 0;
  const std::size_t digits = num_digit_bytes(text.substr(1 + sign), 10);
  return digits == 0 ? 0 : 1 + sign + digits;
}

// Bytes of a float literal here, or 0.
std::size_t num_float_bytes(std::string_view text) {
  const std::size_t whole = num_digit_bytes(text, 10);
  std::size_t fraction = 0;
  if (whole < text.size() && text[whole] == '.') {
    const std::size_t digits = num_digit_bytes(text.substr(whole + 1), 10);
    fraction = digits == 0 ? 0 : digits + 1;
  }
  const std::size_t exponent = num_exponent_bytes(text.substr(whole + fraction));
  return fraction + exponent == 0 ? 0 : whole + fraction + exponent;
}

int literal_base(std::string_view text) {
  if (text.size() < 3 || text[0] != '0') return 10;
  const char mark = text[1];
  const int base = mark == 'x' || mark == 'X'   ? 16
                   : mark == 'o' || mark == 'O' ? 8
                   : mark == 'b' || mark == 'B' ? 2
                                                : 10;
  const std::size_t first = text[2] == '_' ? 3 : 2;
  return base != 10 && first < text.size() && digit_value(text[first]) < base ? base : 10;
}

std::size_t num_integer_bytes(std::string_view text, int base) {
  if (base != 10) {
    const std::size_t first = text[2] == '_' ? 3 : 2;
    return first + num_digit_bytes(text.substr(first), base);
  }
  return num_digit_bytes(text, text[0] == '0' ? 1 : 10);  // a leading zero takes zeros only
}

// Reads `count` hex digits of an escape.
char32_t hex_escape(std::string_view digits, std::size_t count, int line) {
  const std::string_view hex = digits.substr(0, count);
  const bool is_hex = std::all_of(hex.begin(), hex.end(), [](char c) { return digit_value(c) < 16; });
  if (hex.size() < count || !is_hex) throw_error("a string has a broken \\x, \\u or \\U escape", line);
  char32_t value = 0;
  for (const char c : hex) value = value << 4 | static_cast<char32_t>(digit_value(c));
  if (value > 0x10FFFF) throw_error("a string escape is beyond Unicode", line);
  return value;
}

// Appends what the escape at rest[0] == '\\' stands for; returns its size.
std::size_t append_unescaped(std::string& out, std::string_view rest, int line) {
  static constexpr std::string_view kMarks = "\\'\"abfnrtv";
  static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
  const char mark = rest[1];
  if (const std::size_t i = kMarks.find(mark); i != kMarks.npos) {
    out += kValues[i];
    return 2;
  }
  if (mark == '\n') return 2;
  if (mark == 'x' || mark == 'u' || mark == 'U') {
    const std::size_t count = mark == 'x' ? 2 : mark == 'u' ? 4 : 8;
    append_utf8(out, hex_escape(rest.substr(2), count, line));
    return 2 + count;
  }
  if (mark == 'N') throw_error("\\N{...} escapes are not supported", line);
  std::size_t size = 1;
  char32_t octal = 0;
  while (size < 4 && size < rest.size() && rest[size] >= '0' && rest[size] <= '7') {
    octal = octal * 8 + static_cast<char32_t>(rest[size++] - '0');
  }
  size > 1 ? append_utf8(out, octal) : static_cast<void>(out += '\\');
  return size;
}

std::string_view stripped(std::string_view text) { return strip_right(strip_left(text)); }

bool starts_with_sign(std::string_view text) { return !text.empty() && (text[0] == '-' || text[0] == '+'); }

}  // namespace

NumberLiteral scan_number(std::string_view text, bool may_be_float, int line) {
  if (const std::size_t size = may_be_float ? num_float_bytes(text) : 0) {
    return {size, true, 0, std::strtod(without_underscores(text.substr(0, size)).c_str(), nullptr)};
  }
  const int base = literal_base(text);
  const std::size_t size = num_integer_bytes(text, base);
  const std::string_view digits = text.substr(base == 10 ? 0 : 2, size - (base == 10 ? 0 : 2));
  const std::optional<std::int64_t> value = to_integer(digits, base);
  if (!value) throw_error("the number " + std::string(text.substr(0, size)) + " does not fit 64 bits", line);
  return {size, false, *value, 0};
}

std::string unescaped(std::string_view inside, int line) {
  std::string out;
  out.reserve(inside.size());
  for (std::size_t i = 0; i < inside.size();) {
    if (inside[i] == '\\' && i + 1 < inside.size()) {
      i += append_unescaped(out, inside.substr(i), line);
    } else {
      out += inside[i++];
    }
  }
  return out;
}

std::optional<std::int64_t> parse_integer(std::string_view text, int base) {
  std::string_view digits = stripped(text);
  const bool is_negative = digits.starts_with('-');
  if (starts_with_sign(digits)) digits.remove_prefix(1);
  if (const int marked = literal_base(digits); marked != 10 && (base == marked || base == 0)) {
    digits.remove_prefix(digits[2] == '_' ? 3 : 2);
    base = marked;
  } else if (base == 0) {
    base = 10;
  }
  if (base < 2 || base > 36 || digits.empty() || num_digit_bytes(digits, base) != digits.size())
    return std::nullopt;
  return to_integer((is_negative ? "-" : "") + std::string(digits), base);
}

std::optional<double> parse_float(std::string_view text) {
  const std::string_view trimmed = stripped(text);
  std::string_view body = trimmed;
  if (starts_with_sign(body)) body.remove_prefix(1);
  const std::string word = lower(body);
  const bool is_word = word == "inf" || word == "infinity" || word == "nan";
  const std::string_view with_zero = body.starts_with('.') ? body.substr(1) : body;
  const std::size_t digits = num_digit_bytes(with_zero, 10);
  const bool ends_with_point = digits == body.size() - 1 && body.ends_with('.') && digits > 0;
  const bool is_number =
      digits > 0 &&
      (num_float_bytes(body) == body.size() || digits == body.size() || ends_with_point ||
       (body.starts_with('.') && digits + num_exponent_bytes(with_zero.substr(digits)) == with_zero.size()));
  if (body.empty() || (!is_word && !is_number)) return std::nullopt;
  return std::strtod(without_underscores(trimmed).c_str(), nullptr);
}

}  // namespace shoal::jinja
