// Jinja's tests (`value is name`), and the tables that find filters and tests by name.
#include <algorithm>
#include <array>
#include <cmath>

#include "text/jinja/filter_tables.h"
#include "text/jinja/operators.h"

namespace shoal::jinja {
namespace {

template <bool (*Is)(const Value&)>
Value plain(Runtime&, const Value& input, Arguments arguments) {
  const Parameters none("the test", std::move(arguments), {});
  return Is(input);
}

bool is_defined(const Value& value) { return !value.is_undefined(); }
bool is_undefined(const Value& value) { return value.is_undefined(); }
bool is_none(const Value& value) { return value.is_none(); }
bool is_boolean(const Value& value) { return value.is_bool(); }
bool is_true(const Value& value) { return value.is_bool() && value.flag(); }
bool is_false(const Value& value) { return value.is_bool() && !value.flag(); }
bool is_integer(const Value& value) { return value.is_int(); }
bool is_float(const Value& value) { return value.is_float(); }
bool is_number(const Value& value) { return value.is_number(); }
bool is_string(const Value& value) { return value.is_string(); }
bool is_mapping(const Value& value) { return value.is_dict(); }
bool is_escaped(const Value& value) { return value.is_markup(); }

// Has a length and can be indexed.
bool is_sequence(const Value& value) {
  return value.is_undefined() || value.is_string() || value.is_list() || value.is_tuple() ||
         value.is_dict() || value.is_range();
}

std::int64_t remainder(Runtime& runtime, const Value& value, const Value& divisor) {
  const Value rest = arithmetic(runtime, ArithmeticOperator::Modulo, value, divisor);
  const bool is_small = rest.is_number() && std::floor(rest.number()) == rest.number();
  return is_small ? static_cast<std::int64_t>(rest.number()) : -1;
}

Value odd(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("odd", std::move(arguments), {});
  return remainder(runtime, input, Value(2)) == 1;
}

Value even(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("even", std::move(arguments), {});
  return remainder(runtime, input, Value(2)) == 0;
}

Value divisibleby(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("divisibleby", std::move(arguments), {"num"});
  return remainder(runtime, input, p.required(0)) == 0;
}

template <CompareOperator Op>
Value comparison(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("the test", std::move(arguments), {"other"});
  return compares(runtime, Op, input, p.required(0));
}

Value sameas(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("sameas", std::move(arguments), {"other"});
  const Value& other = p.required(0);
  if (input.identity() != nullptr || other.identity() != nullptr) return input.identity() == other.identity();
  return type_name(input) == type_name(other) && is_equal(input, other, runtime.budget());
}

template <bool WantsUpper>
Value has_case(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("the test", std::move(arguments), {});
  return is_all_cased(runtime.str(input), WantsUpper);
}

template <Function (*Find)(std::string_view)>
Value names_one(Runtime&, const Value& input, Arguments arguments) {
  const Parameters none("the test", std::move(arguments), {});
  return input.is_string() && Find(input.string()) != nullptr;
}

using Compare = CompareOperator;
constexpr std::array kTests = std::to_array<Method>({
    {"!=", comparison<Compare::NotEqual>},
    {"<", comparison<Compare::Less>},
    {"<=", comparison<Compare::LessEqual>},
    {"==", comparison<Compare::Equal>},
    {">", comparison<Compare::Greater>},
    {">=", comparison<Compare::GreaterEqual>},
    {"boolean", plain<is_boolean>},
    {"callable", plain<is_callable>},
    {"defined", plain<is_defined>},
    {"divisibleby", divisibleby},
    {"eq", comparison<Compare::Equal>},
    {"equalto", comparison<Compare::Equal>},
    {"escaped", plain<is_escaped>},
    {"even", even},
    {"false", plain<is_false>},
    {"filter", names_one<find_filter>},
    {"float", plain<is_float>},
    {"ge", comparison<Compare::GreaterEqual>},
    {"greaterthan", comparison<Compare::Greater>},
    {"gt", comparison<Compare::Greater>},
    {"in", comparison<Compare::In>},
    {"integer", plain<is_integer>},
    {"iterable", plain<is_iterable>},
    {"le", comparison<Compare::LessEqual>},
    {"lessthan", comparison<Compare::Less>},
    {"lower", has_case<false>},
    {"lt", comparison<Compare::Less>},
    {"mapping", plain<is_mapping>},
    {"ne", comparison<Compare::NotEqual>},
    {"none", plain<is_none>},
    {"number", plain<is_number>},
    {"odd", odd},
    {"sameas", sameas},
    {"sequence", plain<is_sequence>},
    {"string", plain<is_string>},
    {"test", names_one<find_test>},
    {"true", plain<is_true>},
    {"undefined", plain<is_undefined>},
    {"upper", has_case<true>},
});

Function find_in(std::span<const Method> table, std::string_view name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Method& method) { return method.name == name; });
  return found == table.end() ? nullptr : found->function;
}

}  // namespace

Function find_test(std::string_view name) { return find_in(kTests, name); }

Function find_filter(std::string_view name) {
  for (const auto& table : {text_filters(), number_filters(), sequence_filters(), selection_filters()}) {
    if (const Function filter = find_in(table, name)) return filter;
  }
  return nullptr;
}

}  // namespace shoal::jinja
