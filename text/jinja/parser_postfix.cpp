// What stands behind an expression: .name, [key], (arguments), |filter, is test.
#include <algorithm>

#include "text/jinja/parser.h"
#include "text/jinja/parser_support.h"

namespace shoal::jinja {

ExpressionPtr Parser::parse_postfix(ExpressionPtr expression) {
  while (true) {
    if (current().is_operator(".")) {
      expression = parse_attribute(std::move(expression));
    } else if (current().is_operator("[")) {
      expression = parse_subscript(std::move(expression));
    } else if (current().is_operator("(")) {
      expression = parse_call(std::move(expression));
    } else {
      return expression;
    }
  }
}

ExpressionPtr Parser::parse_filters_and_tests(ExpressionPtr expression) {
  while (true) {
    if (current().is_operator("|")) {
      expression = parse_filter(std::move(expression));
    } else if (current().is_name("is")) {
      expression = parse_test(std::move(expression));
    } else if (current().is_operator("(")) {
      expression = parse_call(std::move(expression));
    } else {
      return expression;
    }
  }
}

ExpressionPtr Parser::parse_attribute(ExpressionPtr object) {
  const int line = take().line;
  const Token token = take();
  const int height = height_of(object);
  if (token.kind == TokenKind::Name)
    return make(line, height, AttributeAccess{std::move(object), token.text});
  if (token.kind != TokenKind::Integer) fail_at(token, "a name or a number");
  return make(line, height, ItemAccess{std::move(object), make(line, 0, Constant{Value(token.integer)})});
}

ExpressionPtr Parser::parse_subscript(ExpressionPtr object) {
  const int line = take().line;
  std::vector<ExpressionPtr> keys;
  while (!current().is_operator("]")) {
    if (!keys.empty()) expect_operator(",");
    ExpressionPtr key = parse_key(object);
    if (!key) {  // a slice, which took the object
      expect_operator("]");
      return object;
    }
    keys.push_back(std::move(key));
  }
  expect_operator("]");
  int height = height_of(object);
  for (const ExpressionPtr& key : keys) height = std::max(height, height_of(key));
  ExpressionPtr key = keys.size() == 1
                          ? std::move(keys[0])
                          : make(line, height, SequenceLiteral{/*is_tuple=*/true, std::move(keys)});
  height = std::max(height, height_of(key));
  return make(line, height, ItemAccess{std::move(object), std::move(key)});
}

// One key; or, for a slice, null, and `object` becomes the sliced object.
ExpressionPtr Parser::parse_key(ExpressionPtr& object) {
  const int line = current().line;
  const auto at_end = [&] { return current().is_operator(":") || current().is_operator("]"); };
  ExpressionPtr start = at_end() ? nullptr : parse_expression();
  if (!skip_operator(":")) {
    if (!start) fail_at(current(), "a key");
    return start;
  }
  ExpressionPtr stop = at_end() ? nullptr : parse_expression();
  ExpressionPtr step = skip_operator(":") && !at_end() ? parse_expression() : nullptr;
  const int height = std::max({height_of(object), height_of(start), height_of(stop), height_of(step)});
  object =
      make(line, height, SliceAccess{std::move(object), std::move(start), std::move(stop), std::move(step)});
  return nullptr;
}

ExpressionPtr Parser::parse_call(ExpressionPtr callee) {
  const int line = current().line;
  CallArguments arguments = parse_arguments();
  const int height = std::max(height_of(callee), height_of(arguments));
  return make(line, height, CallExpression{std::move(callee), std::move(arguments)});
}

CallArguments Parser::parse_arguments() {
  using Kind = CallArgument::Kind;
  const int line = current().line;
  expect_operator("(");
  CallArguments arguments;
  Kind latest = Kind::Positional;
  while (!current().is_operator(")")) {
    if (!arguments.empty()) expect_operator(",");
    if (current().is_operator(")")) break;
    arguments.push_back(parse_argument());
    const Kind kind = arguments.back().kind;
    const bool is_spread = kind == Kind::Spread || kind == Kind::NamedSpread;
    const bool is_out_of_place = kind == Kind::Named ? latest == Kind::NamedSpread
                                 : is_spread         ? latest == kind || latest == Kind::NamedSpread
                                                     : latest != Kind::Positional;
    if (is_out_of_place) throw_error("the arguments of a call stand in a wrong order", line);
    if (kind != Kind::Named || latest == Kind::Positional) latest = kind;
  }
  expect_operator(")");
  return arguments;
}

CallArgument Parser::parse_argument() {
  if (skip_operator("*")) return {CallArgument::Kind::Spread, {}, parse_expression()};
  if (skip_operator("**")) return {CallArgument::Kind::NamedSpread, {}, parse_expression()};
  if (current().kind == TokenKind::Name && look_ahead().is_operator("=")) {
    std::string name = take().text;
    take();
    return {CallArgument::Kind::Named, std::move(name), parse_expression()};
  }
  return {CallArgument::Kind::Positional, {}, parse_expression()};
}

ExpressionPtr Parser::parse_filter(ExpressionPtr input) {
  expect_operator("|");
  const int line = current().line;
  FilterExpression node{std::move(input), take_identifier(), {}};
  while (skip_operator(".")) node.name += "." + take_identifier();
  if (current().is_operator("(")) node.arguments = parse_arguments();
  const int height = std::max(height_of(node.input), height_of(node.arguments));
  return make(line, height, std::move(node));
}

ExpressionPtr Parser::parse_filter_chain() {
  ExpressionPtr chain;
  if (!current().is_operator("|")) {  // {% filter name %}: the first has no bar
    const int line = current().line;
    FilterExpression node{nullptr, take_identifier(), {}};
    if (current().is_operator("(")) node.arguments = parse_arguments();
    const int height = height_of(node.arguments);
    chain = make(line, height, std::move(node));
  }
  while (current().is_operator("|")) chain = parse_filter(std::move(chain));
  return chain;
}

ExpressionPtr Parser::parse_test(ExpressionPtr input) {
  const int line = take().line;
  const bool is_negated = skip_name("not");
  TestExpression node{std::move(input), take_identifier(), {}};
  while (skip_operator(".")) node.name += "." + take_identifier();
  node.arguments = parse_test_arguments();
  const int height = std::max(height_of(node.input), height_of(node.arguments));
  ExpressionPtr test = make(line, height, std::move(node));
  return is_negated ? make(line, height + 1, UnaryExpression{UnaryOperator::Not, std::move(test)})
                    : std::move(test);
}

// A test takes arguments in brackets, or one without: `n is divisibleby 3`.
CallArguments Parser::parse_test_arguments() {
  if (current().is_operator("(")) return parse_arguments();
  const TokenKind kind = current().kind;
  const bool is_word = kind == TokenKind::Name && !current().is_name("else") && !current().is_name("or") &&
                       !current().is_name("and");
  const bool starts_value = is_word || kind == TokenKind::String || kind == TokenKind::Integer ||
                            kind == TokenKind::Float || current().is_operator("[") ||
                            current().is_operator("{");
  if (!starts_value) return {};
  if (current().is_name("is")) throw_error("tests cannot be chained with 'is'", current().line);
  const Nested nested(*this);
  ExpressionPtr argument = parse_primary();
  CallArguments arguments;
  arguments.push_back({CallArgument::Kind::Positional, {}, parse_postfix(std::move(argument))});
  return arguments;
}

}  // namespace shoal::jinja
