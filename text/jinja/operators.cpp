#include "text/jinja/operators.h"

#include <cmath>

#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

using Op = ArithmeticOperator;

const char* symbol(Op op) {
  switch (op) {
    case Op::Add:
      return "+";
    case Op::Subtract:
      return "-";
    case Op::Multiply:
      return "*";
    case Op::Divide:
      return "/";
    case Op::FloorDivide:
      return "//";
    case Op::Modulo:
      return "%";
    case Op::Power:
      return "**";
  }
  return "?";
}

[[noreturn]] void fail_operands(Op op, const Value& a, const Value& b) {
  throw_error(std::string("unsupported operand types for ") + symbol(op) + ": '" + type_name(a) + "' and '" +
              type_name(b) + "'");
}

[[noreturn]] void fail_overflow() { throw_error("a whole number does not fit 64 bits"); }

std::int64_t floor_divided(std::int64_t a, std::int64_t b) {
  if (a == INT64_MIN && b == -1) fail_overflow();
  const std::int64_t quotient = a / b;
  return quotient - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

std::int64_t floor_modulo(std::int64_t a, std::int64_t b) {
  if (b == -1) return 0;
  const std::int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : (rest == 0 ? std::copysign(0.0, b) : rest);
}

std::int64_t power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return result;
}

Value integer_arithmetic(Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  const bool divides = op == Op::Divide || op == Op::FloorDivide || op == Op::Modulo;
  if (divides && b == 0) throw_error("division by zero");
  switch (op) {
    case Op::Add:
      if (__builtin_add_overflow(a, b, &result)) fail_overflow();
      return result;
    case Op::Subtract:
      if (__builtin_sub_overflow(a, b, &result)) fail_overflow();
      return result;
    case Op::Multiply:
      if (__builtin_mul_overflow(a, b, &result)) fail_overflow();
      return result;
    case Op::Divide:
      return static_cast<double>(a) / static_cast<double>(b);
    case Op::FloorDivide:
      return floor_divided(a, b);
    case Op::Modulo:
      return floor_modulo(a, b);
    case Op::Power:
      break;
  }
  if (b >= 0) return power(a, b);
  if (a == 0) throw_error("0 cannot be raised to a negative power");
  return std::pow(static_cast<double>(a), static_cast<double>(b));
}

Value float_arithmetic(Op op, double a, double b) {
  const bool divides = op == Op::Divide || op == Op::FloorDivide || op == Op::Modulo;
  if (divides && b == 0) throw_error("float division by zero");
  switch (op) {
    case Op::Add:
      return a + b;
    case Op::Subtract:
      return a - b;
    case Op::Multiply:
      return a * b;
    case Op::Divide:
      return a / b;
    case Op::FloorDivide:
      return std::floor((a - floor_modulo(a, b)) / b + 0.5);
    case Op::Modulo:
      return floor_modulo(a, b);
    case Op::Power:
      break;
  }
  if (a == 0 && b < 0) throw_error("0.0 cannot be raised to a negative power");
  if (a < 0 && b != std::floor(b)) throw_error("complex numbers are not supported");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    throw_error("a power is too large for a float");
  return result;
}

bool is_plain_sequence(const Value& value) { return value.is_list() || value.is_tuple(); }

std::string escaped_unless_markup(const Value& value) {
  return value.is_markup() ? value.string() : html_escaped(value.string());
}

Value added(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_string() && b.is_string()) {
    const bool is_markup = a.is_markup() || b.is_markup();
    std::string out;
    runtime.budget().append(out, is_markup ? escaped_unless_markup(a) : a.string());
    runtime.budget().append(out, is_markup ? escaped_unless_markup(b) : b.string());
    return is_markup ? Value::markup(std::move(out)) : Value(std::move(out));
  }
  if ((a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple())) {
    List items = a.sequence().items;
    items.insert(items.end(), b.sequence().items.begin(), b.sequence().items.end());
    runtime.budget().touch(items.size() * sizeof(Value));
    return a.is_list() ? Value::list(std::move(items)) : Value::tuple(std::move(items));
  }
  fail_operands(Op::Add, a, b);
}

Value repeated(Runtime& runtime, const Value& value, std::int64_t signed_count) {
  const auto count = static_cast<std::size_t>(std::max<std::int64_t>(signed_count, 0));
  if (value.is_string()) {
    const std::string& text = value.string();
    if (!text.empty() && count > kMaxOutputBytes / text.size())
      throw_error("a repeated string would be too long");
    std::string out;
    out.reserve(text.size() * count);
    for (std::size_t i = 0; i < count && !text.empty(); ++i) runtime.budget().append(out, text);
    return value.is_markup() ? Value::markup(std::move(out)) : Value(std::move(out));
  }
  const List& items = value.sequence().items;
  if (!items.empty() && count > kMaxItems / items.size()) throw_error("a repeated list would be too long");
  runtime.budget().touch(items.size() * count * sizeof(Value));
  List out;
  for (std::size_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
  return value.is_list() ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

bool can_repeat(const Value& value) { return value.is_string() || is_plain_sequence(value); }

}  // namespace

Value arithmetic(Runtime& runtime, Op op, const Value& a, const Value& b) {
  if (op == Op::Modulo && a.is_string()) return runtime.text(printf_formatted(runtime, a.string(), b));
  if (a.is_undefined()) throw_error(a.why_undefined());
  if (b.is_undefined()) throw_error(b.why_undefined());
  if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.integer(), b.integer());
  if (a.is_number() && b.is_number()) return float_arithmetic(op, a.number(), b.number());
  if (op == Op::Add) return added(runtime, a, b);
  if (op == Op::Multiply && can_repeat(a) && b.is_integral()) return repeated(runtime, a, b.integer());
  if (op == Op::Multiply && can_repeat(b) && a.is_integral()) return repeated(runtime, b, a.integer());
  fail_operands(op, a, b);
}

Value negated(const Value& value) {
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (value.is_float()) return -value.number();
  if (!value.is_integral()) throw_error("bad operand type for unary -: '" + type_name(value) + "'");
  if (value.integer() == INT64_MIN) fail_overflow();
  return -value.integer();
}

Value unary_plus(const Value& value) {
  if (value.is_undefined()) throw_error(value.why_undefined());
  if (!value.is_number()) throw_error("bad operand type for unary +: '" + type_name(value) + "'");
  return value.is_bool() ? Value(value.integer()) : value;
}

bool compares(Runtime& runtime, CompareOperator op, const Value& a, const Value& b) {
  Budget& budget = runtime.budget();
  switch (op) {
    case CompareOperator::Equal:
      return is_equal(a, b, budget);
    case CompareOperator::NotEqual:
      return !is_equal(a, b, budget);
    case CompareOperator::Less:
      return is_less(a, b, budget);
    case CompareOperator::LessEqual:
      return is_less(a, b, budget) || is_equal(a, b, budget);
    case CompareOperator::Greater:
      return is_less(b, a, budget);
    case CompareOperator::GreaterEqual:
      return is_less(b, a, budget) || is_equal(a, b, budget);
    case CompareOperator::In:
      return contains(runtime, b, a);
    case CompareOperator::NotIn:
      return !contains(runtime, b, a);
  }
  return false;
}

bool contains(Runtime& runtime, const Value& container, const Value& value) {
  if (container.is_string()) {
    if (value.is_undefined() || !value.is_string()) {
      throw_error("'in <string>' requires string as left operand, not " + type_name(value));
    }
    runtime.budget().touch(container.string().size());
    return find_text(container.string(), value.string()) != std::string_view::npos;
  }
  if (container.is_dict()) return container.dict().find(value) != nullptr;
  Cursor cursor(container);
  while (const std::optional<Value> item = cursor.next()) {
    if (is_equal(*item, value, runtime.budget())) return true;
  }
  return false;
}

}  // namespace shoal::jinja
