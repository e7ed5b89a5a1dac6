#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "text/jinja/filter_tables.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"

namespace shoal::jinja {
namespace {

void refuse_undefined(const Value& value) {
  if (value.is_undefined()) throw_error(value.why_undefined());
}

std::optional<std::int64_t> truncated(double number) {
  if (!(std::fabs(number) < 9.2e18)) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

Value to_int(Runtime&, const Value& input, Arguments arguments) {
  const Parameters p("int", std::move(arguments), {"default", "base"});
  refuse_undefined(input);
  std::optional<std::int64_t> value;
  if (input.is_string()) {
    value = parse_integer(input.string(), static_cast<int>(std::min<std::int64_t>(p.integer(1, 10), 99)));
    if (const auto number = parse_float(input.string()); !value && number) value = truncated(*number);
  } else if (input.is_number()) {
    value = input.is_integral() ? input.integer() : truncated(input.number());
  }
  return value ? Value(*value) : p.optional(0, Value(0));
}

Value to_float(Runtime&, const Value& input, Arguments arguments) {
  const Parameters p("float", std::move(arguments), {"default"});
  refuse_undefined(input);
  if (input.is_number()) return input.number();
  const std::optional<double> value = input.is_string() ? parse_float(input.string()) : std::nullopt;
  return value ? Value(*value) : p.optional(0, Value(0.0));
}

Value absolute(Runtime&, const Value& input, Arguments arguments) {
  const Parameters none("abs", std::move(arguments), {});
  refuse_undefined(input);
  if (!input.is_number()) throw_error("abs: expected a number, got " + type_name(input));
  if (input.is_float()) return std::fabs(input.number());
  return input.integer() < 0 ? negated(Value(input.integer())) : Value(input.integer());
}

std::int64_t power_of_ten(std::int64_t exponent) {
  std::int64_t power = 1;
  for (std::int64_t i = 0; i < exponent; ++i) power *= 10;
  return power;
}

// Halves go to the even neighbour, as Python rounds.
Value rounded_integer(std::int64_t value, std::int64_t precision) {
  if (precision >= 0) return value;
  if (precision < -18) return 0;
  const std::int64_t unit = power_of_ten(-precision);
  std::int64_t quotient = value / unit;
  const std::int64_t rest = std::abs(value % unit);
  const bool away = rest > unit / 2 || (rest * 2 == unit && quotient % 2 != 0);
  if (away) quotient += value < 0 ? -1 : 1;
  std::int64_t result = 0;
  if (__builtin_mul_overflow(quotient, unit, &result)) throw_error("a whole number does not fit 64 bits");
  return result;
}

double rounded_float(double value, std::int64_t precision) {
  if (!std::isfinite(value) || precision > 300) return value;
  if (precision < -308) return std::copysign(0.0, value);
  if (precision < 0) {
    const double unit = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(value / unit) * unit;
  }
  std::array<char, 700> text{};
  std::snprintf(text.data(), text.size(), "%.*f", static_cast<int>(precision),
                value);  // exact, halves to even
  return std::strtod(text.data(), nullptr);
}

Value round(Runtime&, const Value& input, Arguments arguments) {
  const Parameters p("round", std::move(arguments), {"precision", "method"});
  refuse_undefined(input);
  const std::int64_t precision = p.integer(0, 0);
  const std::string method = p.has(1) ? p.string(1) : "common";
  if (!input.is_number()) throw_error("round: expected a number, got " + type_name(input));
  if (method == "common") {
    return input.is_integral() ? rounded_integer(input.integer(), precision)
                               : Value(rounded_float(input.number(), precision));
  }
  if (method != "ceil" && method != "floor") throw_error("round: the method is common, ceil or floor");
  if (precision < -300 || precision > 300) throw_error("round: the precision is too large");
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = input.number() * unit;
  return (method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit;
}

constexpr std::array kFilters =
    std::to_array<Method>({{"abs", absolute}, {"float", to_float}, {"int", to_int}, {"round", round}});

}  // namespace

std::span<const Method> number_filters() { return kFilters; }

}  // namespace shoal::jinja
