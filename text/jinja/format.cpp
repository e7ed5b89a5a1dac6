// Python's two ways to fill in a format: "%s of %d" % values, and "{} of {n}".format(...).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "text/jinja/literals.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

constexpr int kMaxWidth = 10'000;
constexpr int kMaxPrecision = 300;

// What stands between % or : and the type letter.
struct Spec {
  std::string fill = " ";
  char align = 0;  // '<', '>', '^', '=' or none given
  char sign = '-';
  bool alternate = false, groups = false;
  int width = 0, precision = -1;
  char type = 0;
};

int take_number(std::string_view& text, int limit) {
  int value = 0;
  while (!text.empty() && is_digit(static_cast<unsigned char>(text[0]))) {
    value = value * 10 + (text[0] - '0');
    if (value > limit) throw_error("a format asks for more than " + std::to_string(limit) + " characters");
    text.remove_prefix(1);
  }
  return value;
}

bool take_char(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::string padded(const std::string& text, const Spec& spec, char default_align) {
  const auto width = static_cast<std::size_t>(spec.width);
  const std::size_t length = count_code_points(text);
  if (length >= width) return text;
  const std::size_t missing = width - length;
  const char align = spec.align != 0 ? spec.align : default_align;
  std::size_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  const std::size_t sign =
      align == '=' && !text.empty() && (text[0] == '-' || text[0] == '+' || text[0] == ' ') ? 1 : 0;
  out += text.substr(0, sign);
  for (std::size_t i = 0; i < left; ++i) out += spec.fill;
  out += text.substr(sign);
  for (std::size_t i = left; i < missing; ++i) out += spec.fill;
  return out;
}

std::string with_sign(bool is_negative, const std::string& digits, const Spec& spec) {
  if (is_negative) return "-" + digits;
  return spec.sign == '-' ? digits : spec.sign + digits;
}

std::string with_groups(const std::string& digits) {
  const std::size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out = digits.substr(0, whole);
  for (std::size_t at = whole; at > 3;) out.insert(at -= 3, ",");
  return out + digits.substr(whole);
}

std::string integer_digits(std::uint64_t magnitude, char type, bool alternate) {
  if (type == 'b') {
    std::string out;
    do out.insert(out.begin(), static_cast<char>('0' + (magnitude & 1)));
    while ((magnitude >>= 1) != 0);
    return (alternate ? "0b" : "") + out;
  }
  std::array<char, 32> text{};
  const char* format = type == 'x' ? "%llx" : type == 'X' ? "%llX" : type == 'o' ? "%llo" : "%llu";
  std::snprintf(text.data(), text.size(), format, static_cast<unsigned long long>(magnitude));
  const std::string prefix = !alternate    ? ""
                             : type == 'x' ? "0x"
                             : type == 'X' ? "0X"
                             : type == 'o' ? "0o"
                                           : "";
  return prefix + text.data();
}

std::string formatted_integer(std::int64_t value, const Spec& spec) {
  const auto bits = static_cast<std::uint64_t>(value);
  std::string digits = integer_digits(value < 0 ? 0 - bits : bits, spec.type, spec.alternate);
  if (spec.precision > 0 && digits.size() < static_cast<std::size_t>(spec.precision)) {
    digits.insert(0, static_cast<std::size_t>(spec.precision) - digits.size(), '0');
  }
  return with_sign(value < 0, spec.groups ? with_groups(digits) : digits, spec);
}

std::string formatted_float(double value, Spec spec) {
  if (spec.type == '%') {
    spec.type = 'f';
    return formatted_float(value * 100, spec) + "%";
  }
  if (!std::isfinite(value)) return with_sign(std::signbit(value), std::isnan(value) ? "nan" : "inf", spec);
  const int precision = spec.precision < 0 ? 6 : spec.precision;
  const std::string format = std::string(spec.alternate ? "%#.*" : "%.*") + spec.type;
  std::array<char, 700> text{};
  std::snprintf(text.data(), text.size(), format.c_str(), precision, std::fabs(value));
  const std::string digits = text.data();
  return with_sign(std::signbit(value), spec.groups ? with_groups(digits) : digits, spec);
}

std::int64_t integer_for_format(const Value& value, char type) {
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (value.is_float() && std::fabs(value.number()) < 9e18) return static_cast<std::int64_t>(value.number());
  if (!value.is_integral()) throw_error(std::string("%") + type + " wants a number, not " + type_name(value));
  return value.integer();
}

double float_for_format(const Value& value, char type) {
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (!value.is_number()) throw_error(std::string("%") + type + " wants a number, not " + type_name(value));
  return value.number();
}

std::string cut_to_precision(std::string text, const Spec& spec) {
  const std::vector<std::size_t> offsets = code_point_offsets(text);
  const auto limit = static_cast<std::size_t>(spec.precision);
  if (spec.precision >= 0 && limit + 1 < offsets.size()) text.resize(offsets[limit]);
  return text;
}

// --- "%..." formats

Spec take_printf_spec(std::string_view& rest) {
  Spec spec;
  for (bool more = true; more;) {
    more = false;
    if (take_char(rest, '-')) spec.align = '<', more = true;
    if (take_char(rest, '+')) spec.sign = '+', more = true;
    if (take_char(rest, '#')) spec.alternate = more = true;
    if (take_char(rest, ' ')) spec.sign = spec.sign == '+' ? '+' : ' ', more = true;
    if (take_char(rest, '0')) {
      if (spec.align == 0) spec.align = '=', spec.fill = "0";
      more = true;
    }
  }
  if (spec.align == '<') spec.fill = " ";
  spec.width = take_number(rest, kMaxWidth);
  if (take_char(rest, '.')) spec.precision = take_number(rest, kMaxPrecision);
  if (rest.empty()) throw_error("an incomplete % format");
  spec.type = rest[0];
  rest.remove_prefix(1);
  return spec;
}

std::string printf_field(Runtime& runtime, const Value& value, Spec spec) {
  const bool is_text = spec.type == 's' || spec.type == 'r' || spec.type == 'a' || spec.type == 'c';
  if (is_text && spec.align == '=') spec.align = '>', spec.fill = " ";
  if (spec.type == 'c') {
    std::string text;
    value.is_string() ? text = value.string()
                      : (append_utf8(text, static_cast<char32_t>(integer_for_format(value, 'c'))), text);
    return padded(text, spec, '>');
  }
  if (is_text) {
    std::string text;
    spec.type == 's' ? append_str_of(text, value, runtime.budget())
                     : append_repr_of(text, value, runtime.budget());
    return padded(cut_to_precision(std::move(text), spec), spec, '>');
  }
  if (std::string_view("diuxXo").find(spec.type) != std::string_view::npos) {
    return padded(formatted_integer(integer_for_format(value, spec.type), spec), spec, '>');
  }
  if (std::string_view("eEfFgG").find(spec.type) != std::string_view::npos) {
    return padded(formatted_float(float_for_format(value, spec.type), spec), spec, '>');
  }
  throw_error(std::string("unsupported format character '") + spec.type + "'");
}

// The values a % format takes, in order or by name.
class FormatValues {
 public:
  explicit FormatValues(const Value& values) : values_(values) {}

  Value next() {
    const bool is_tuple = values_.is_tuple();
    const std::size_t count = is_tuple ? values_.sequence().items.size() : 1;
    if (taken_ >= count) throw_error("not enough arguments for format string");
    return is_tuple ? values_.sequence().items[taken_++] : (++taken_, values_);
  }

  Value named(const std::string& name) {
    if (!values_.is_dict()) throw_error("format requires a mapping");
    const Value* value = values_.dict().find(name);
    if (value == nullptr) throw_error("the format's '" + name + "' is not among its values");
    by_name_ = true;
    return *value;
  }

  void check_all_taken() const {
    // What can be indexed may stand there untaken, a tuple's items and a str excepted.
    const bool may_stay =
        values_.is_dict() || values_.is_list() || values_.is_range() || values_.is_undefined();
    const bool has_left =
        values_.is_tuple() ? taken_ < values_.sequence().items.size() : taken_ == 0 && !by_name_ && !may_stay;
    if (has_left) throw_error("not all arguments converted during string formatting");
  }

 private:
  const Value& values_;
  std::size_t taken_ = 0;
  bool by_name_ = false;
};

std::string take_field_name(std::string_view& rest) {
  const std::size_t end = rest.find(')');
  if (end == rest.npos) throw_error("an incomplete format key");
  std::string name(rest.substr(1, end - 1));
  rest.remove_prefix(end + 1);
  return name;
}

// --- "{...}" formats

Spec parse_brace_spec(std::string_view rest) {
  Spec spec;
  const auto is_align = [](std::string_view text) {
    return !text.empty() && text.find_first_of("<>^=") == 0;
  };
  const std::size_t first = rest.empty() ? 0 : first_code_point(rest).num_bytes;
  if (is_align(rest.substr(first))) {
    spec.fill = std::string(rest.substr(0, first));
    rest.remove_prefix(first);
  }
  if (is_align(rest)) {
    spec.align = rest[0];
    rest.remove_prefix(1);
  }
  if (!rest.empty() && rest.find_first_of("+- ") == 0) {
    spec.sign = rest[0];
    rest.remove_prefix(1);
  }
  spec.alternate = take_char(rest, '#');
  if (take_char(rest, '0') && spec.align == 0) spec.align = '=', spec.fill = "0";
  spec.width = take_number(rest, kMaxWidth);
  spec.groups = take_char(rest, ',');
  if (take_char(rest, '.')) spec.precision = take_number(rest, kMaxPrecision);
  if (!rest.empty()) spec.type = rest[0];
  if (rest.size() > 1) throw_error("invalid format specifier");
  return spec;
}

std::string brace_field(Runtime& runtime, const Value& value, const std::string& spec_text) {
  if (spec_text.empty()) return runtime.str(value);
  Spec spec = parse_brace_spec(spec_text);
  const bool wants_float =
      std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0;
  if (value.is_number() && !value.is_bool() &&
      (wants_float || (value.is_float() && spec.type == 0 && spec.precision >= 0))) {
    if (spec.type == 0) spec.type = 'g';
    return padded(formatted_float(value.number(), spec), spec, '>');
  }
  const bool wants_integer =
      std::string_view("dxXob").find(spec.type) != std::string_view::npos && spec.type != 0;
  if (value.is_integral() && (wants_integer || (spec.type == 0 && value.is_int()))) {
    return padded(formatted_integer(value.integer(), spec), spec, '>');
  }
  if (spec.type != 0 && spec.type != 's')
    throw_error(std::string("unknown format code '") + spec.type + "' for " + type_name(value));
  if (!value.is_string() && !value.is_number())
    throw_error("a " + type_name(value) + " takes no format specifier");
  const char default_align = value.is_string() ? '<' : '>';
  return padded(cut_to_precision(runtime.str(value), spec), spec, default_align);
}

// The value a replacement field names: "", "0", "name", each with .attributes and [keys] behind.
Value field_value(Runtime& runtime, std::string_view field, const Arguments& arguments,
                  std::size_t& next_index) {
  const std::size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string first(field.substr(0, end));
  Value value;
  if (first.empty() || parse_integer(first)) {
    const auto index = first.empty() ? next_index++ : static_cast<std::size_t>(*parse_integer(first));
    if (index >= arguments.positional.size()) throw_error("a format field has no value: index out of range");
    value = arguments.positional[index];
  } else {
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](auto& n) { return n.first == first; });
    if (named == arguments.named.end()) throw_error("a format field has no value: '" + first + "'");
    value = named->second;
  }
  for (field.remove_prefix(end); !field.empty();) {
    const bool is_key = field[0] == '[';
    const std::size_t stop = is_key ? field.find(']') : std::min(field.find_first_of(".[", 1), field.size());
    if (stop == field.npos) throw_error("a format field misses its ']'");
    const std::string name(field.substr(1, stop - 1));
    const std::optional<std::int64_t> index = is_key ? parse_integer(name) : std::nullopt;
    value = !is_key ? attribute_of(runtime, value, name)
                    : item_of(runtime, value, index ? Value(*index) : Value(name));
    field.remove_prefix(stop + (is_key ? 1 : 0));
    if (!field.empty() && field[0] != '.' && field[0] != '[')
      throw_error("a format field is broken behind its ']'");
  }
  return value;
}

std::string replacement(Runtime& runtime, std::string_view field, const Arguments& arguments,
                        std::size_t& next_index) {
  const std::size_t colon = std::min(field.find(':'), field.size());
  std::string_view name = field.substr(0, colon);
  const std::string spec(field.substr(std::min(colon + 1, field.size())));
  if (spec.find('{') != spec.npos) throw_error("nested format fields are not supported");
  const std::size_t mark = std::min(name.find('!'), name.size());
  const std::string_view conversion = name.substr(mark);
  Value value = field_value(runtime, name.substr(0, mark), arguments, next_index);
  if (conversion == "!r") {
    std::string text;
    append_repr_of(text, value, runtime.budget());
    value = Value(std::move(text));
  } else if (!conversion.empty()) {
    if (conversion != "!s") throw_error("unknown format conversion");
    value = Value(runtime.str(value));
  }
  return brace_field(runtime, value, spec);
}

}  // namespace

std::string printf_formatted(Runtime& runtime, const std::string& format, const Value& values) {
  FormatValues source(values);
  std::string out;
  std::string_view rest = format;
  while (!rest.empty()) {
    const std::size_t percent = std::min(rest.find('%'), rest.size());
    runtime.budget().append(out, rest.substr(0, percent));
    rest.remove_prefix(percent);
    if (rest.empty()) break;
    runtime.budget().step();
    rest.remove_prefix(1);
    if (take_char(rest, '%')) {
      out += '%';
      continue;
    }
    const bool is_named = rest.starts_with('(');
    const std::string name = is_named ? take_field_name(rest) : std::string();
    const Spec spec = take_printf_spec(rest);
    runtime.budget().append(out, printf_field(runtime, is_named ? source.named(name) : source.next(), spec));
  }
  source.check_all_taken();
  return out;
}

std::string brace_formatted(Runtime& runtime, const std::string& format, const Arguments& arguments) {
  std::string out;
  std::size_t next_index = 0;
  for (std::size_t at = 0; at < format.size();) {
    const std::size_t brace = std::min(format.find_first_of("{}", at), format.size());
    runtime.budget().append(out, std::string_view(format).substr(at, brace - at));
    if (brace == format.size()) break;
    runtime.budget().step();
    if (brace + 1 < format.size() && format[brace + 1] == format[brace]) {
      out += format[brace];
      at = brace + 2;
      continue;
    }
    const std::size_t end = format[brace] == '{' ? format.find('}', brace) : std::string::npos;
    if (end == std::string::npos) throw_error("a format has a single '{' or '}'");
    const std::string_view field = std::string_view(format).substr(brace + 1, end - brace - 1);
    runtime.budget().append(out, replacement(runtime, field, arguments, next_index));
    at = end + 1;
  }
  return out;
}

}  // namespace shoal::jinja
