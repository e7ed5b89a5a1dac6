#include <algorithm>
#include <array>

#include "text/jinja/parser.h"
#include "text/jinja/parser_support.h"

namespace shoal::jinja {
namespace {

template <typename Operator>
using Named = std::pair<std::string_view, Operator>;

constexpr std::array<Named<CompareOperator>, 6> kComparisons = {{{"==", CompareOperator::Equal},
                                                                 {"!=", CompareOperator::NotEqual},
                                                                 {"<", CompareOperator::Less},
                                                                 {"<=", CompareOperator::LessEqual},
                                                                 {">", CompareOperator::Greater},
                                                                 {">=", CompareOperator::GreaterEqual}}};
constexpr std::array<Named<ArithmeticOperator>, 2> kSums = {
    {{"+", ArithmeticOperator::Add}, {"-", ArithmeticOperator::Subtract}}};
constexpr std::array<Named<ArithmeticOperator>, 4> kProducts = {{{"*", ArithmeticOperator::Multiply},
                                                                 {"/", ArithmeticOperator::Divide},
                                                                 {"//", ArithmeticOperator::FloorDivide},
                                                                 {"%", ArithmeticOperator::Modulo}}};
constexpr std::array<Named<ArithmeticOperator>, 1> kPowers = {{{"**", ArithmeticOperator::Power}}};

}  // namespace

ExpressionPtr Parser::make(int line, int children_height, Expression::Node node) const {
  if (children_height >= kMaxNesting) {
    throw_error("an expression nests more than " + std::to_string(kMaxNesting) + " deep", line);
  }
  return std::make_unique<Expression>(Expression{line, children_height + 1, std::move(node)});
}

ExpressionPtr Parser::parse_tuple(bool allows_condition, std::string_view end_name, bool is_parenthesised) {
  const int line = current().line;
  const auto at_end = [&] {
    const TokenKind kind = current().kind;
    return kind == TokenKind::PrintEnd || kind == TokenKind::BlockEnd || current().is_operator(")") ||
           (!end_name.empty() && current().is_name(end_name));
  };
  std::vector<ExpressionPtr> items;
  bool has_comma = false;
  while (!at_end()) {
    items.push_back(parse_expression(allows_condition));
    if (!skip_operator(",")) break;
    has_comma = true;
  }
  if (!has_comma && !items.empty()) return std::move(items[0]);
  if (!has_comma && !is_parenthesised) fail_at(current(), "an expression");
  const int height = height_of(items);
  return make(line, height, SequenceLiteral{/*is_tuple=*/true, std::move(items)});
}

ExpressionPtr Parser::parse_expression(bool allows_condition) {
  return allows_condition ? parse_conditional() : parse_or();
}

ExpressionPtr Parser::parse_conditional() {
  ExpressionPtr value = parse_or();
  while (current().is_name("if")) {
    const int line = take().line;
    ExpressionPtr test = parse_or();
    ExpressionPtr otherwise;
    if (skip_name("else")) {
      const Nested nested(*this);
      otherwise = parse_conditional();
    }
    const int height = std::max({height_of(value), height_of(test), height_of(otherwise)});
    value =
        make(line, height, ConditionalExpression{std::move(test), std::move(value), std::move(otherwise)});
  }
  return value;
}

ExpressionPtr Parser::parse_or() {
  const int line = current().line;
  std::vector<ExpressionPtr> operands;
  do operands.push_back(parse_and());
  while (skip_name("or"));
  if (operands.size() == 1) return std::move(operands[0]);
  const int height = height_of(operands);
  return make(line, height, LogicExpression{/*is_or=*/true, std::move(operands)});
}

ExpressionPtr Parser::parse_and() {
  const int line = current().line;
  std::vector<ExpressionPtr> operands;
  do operands.push_back(parse_not());
  while (skip_name("and"));
  if (operands.size() == 1) return std::move(operands[0]);
  const int height = height_of(operands);
  return make(line, height, LogicExpression{/*is_or=*/false, std::move(operands)});
}

ExpressionPtr Parser::parse_not() {
  if (!current().is_name("not")) return parse_comparison();
  const Nested nested(*this);
  const int line = take().line;
  ExpressionPtr operand = parse_not();
  const int height = height_of(operand);
  return make(line, height, UnaryExpression{UnaryOperator::Not, std::move(operand)});
}

bool Parser::take_compare_operator(CompareOperator& op) {
  for (const auto& [text, compare] : kComparisons) {
    if (!skip_operator(text)) continue;
    op = compare;
    return true;
  }
  if (skip_name("in")) {
    op = CompareOperator::In;
    return true;
  }
  if (!current().is_name("not") || !look_ahead().is_name("in")) return false;
  take();
  take();
  op = CompareOperator::NotIn;
  return true;
}

ExpressionPtr Parser::parse_comparison() {
  const int line = current().line;
  CompareExpression node{parse_sum(), {}};
  for (CompareOperator op; take_compare_operator(op);) node.rest.emplace_back(op, parse_sum());
  if (node.rest.empty()) return std::move(node.first);
  const int height = std::max(height_of(node.first), height_of(node.rest));
  return make(line, height, std::move(node));
}

ExpressionPtr Parser::parse_arithmetic(ExpressionPtr (Parser::*parse_operand)(),
                                       OperatorNames<ArithmeticOperator> operators) {
  const int line = current().line;
  ArithmeticExpression node{(this->*parse_operand)(), {}};
  for (bool found = true; found;) {
    found = false;
    for (const auto& [text, op] : operators) {
      if (!skip_operator(text)) continue;
      node.rest.emplace_back(op, (this->*parse_operand)());
      found = true;
      break;
    }
  }
  if (node.rest.empty()) return std::move(node.first);
  const int height = std::max(height_of(node.first), height_of(node.rest));
  return make(line, height, std::move(node));
}

ExpressionPtr Parser::parse_sum() { return parse_arithmetic(&Parser::parse_concatenation, kSums); }

ExpressionPtr Parser::parse_concatenation() {
  const int line = current().line;
  std::vector<ExpressionPtr> parts;
  do parts.push_back(parse_product());
  while (skip_operator("~"));
  if (parts.size() == 1) return std::move(parts[0]);
  const int height = height_of(parts);
  return make(line, height, ConcatExpression{std::move(parts)});
}

ExpressionPtr Parser::parse_product() { return parse_arithmetic(&Parser::parse_power, kProducts); }

ExpressionPtr Parser::parse_power() { return parse_arithmetic(&Parser::parse_power_operand, kPowers); }

ExpressionPtr Parser::parse_unary(bool allows_filters) {
  const Nested nested(*this);
  const int line = current().line;
  ExpressionPtr node;
  if (current().is_operator("-") || current().is_operator("+")) {
    const UnaryOperator op = take().text == "-" ? UnaryOperator::Minus : UnaryOperator::Plus;
    ExpressionPtr operand = parse_unary(/*allows_filters=*/false);
    const int height = height_of(operand);
    node = make(line, height, UnaryExpression{op, std::move(operand)});
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return allows_filters ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExpressionPtr Parser::parse_primary() {
  const Token& token = current();
  switch (token.kind) {
    case TokenKind::Name:
      return parse_name();
    case TokenKind::String:
      return parse_strings();
    case TokenKind::Integer:
      take();
      return make(token.line, 0, Constant{Value(token.integer)});
    case TokenKind::Float:
      take();
      return make(token.line, 0, Constant{Value(token.number)});
    default:
      break;
  }
  if (token.is_operator("[")) return parse_list();
  if (token.is_operator("{")) return parse_dict();
  if (!skip_operator("(")) fail_at(token, "an expression");
  ExpressionPtr inside = parse_tuple(/*allows_condition=*/true, {}, /*is_parenthesised=*/true);
  expect_operator(")");
  return inside;
}

ExpressionPtr Parser::parse_name() {
  const Token token = take();
  if (token.text == "true" || token.text == "True") return make(token.line, 0, Constant{Value(true)});
  if (token.text == "false" || token.text == "False") return make(token.line, 0, Constant{Value(false)});
  if (token.text == "none" || token.text == "None") return make(token.line, 0, Constant{Value::none()});
  for (MacroDefinition* macro : macros_) {
    macro->uses_caller |= token.text == "caller";
    macro->uses_varargs |= token.text == "varargs";
    macro->uses_kwargs |= token.text == "kwargs";
  }
  return make(token.line, 0, Name{token.text});
}

ExpressionPtr Parser::parse_strings() {
  const int line = current().line;
  std::string text;
  while (current().kind == TokenKind::String) text += take().text;
  return make(line, 0, Constant{Value(std::move(text))});
}

ExpressionPtr Parser::parse_list() {
  const int line = take().line;
  std::vector<ExpressionPtr> items;
  while (!current().is_operator("]")) {
    if (!items.empty()) expect_operator(",");
    if (current().is_operator("]")) break;
    items.push_back(parse_expression());
  }
  expect_operator("]");
  const int height = height_of(items);
  return make(line, height, SequenceLiteral{/*is_tuple=*/false, std::move(items)});
}

ExpressionPtr Parser::parse_dict() {
  const int line = take().line;
  DictLiteral node;
  int height = 0;
  while (!current().is_operator("}")) {
    if (!node.entries.empty()) expect_operator(",");
    if (current().is_operator("}")) break;
    ExpressionPtr key = parse_expression();
    expect_operator(":");
    ExpressionPtr value = parse_expression();
    height = std::max({height, height_of(key), height_of(value)});
    node.entries.emplace_back(std::move(key), std::move(value));
  }
  expect_operator("}");
  return make(line, height, std::move(node));
}

}  // namespace shoal::jinja
