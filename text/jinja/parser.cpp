#include "text/jinja/parser.h"

#include <algorithm>
#include <utility>

#include "text/jinja/parser_support.h"

namespace shoal::jinja {

// --- tokens

const Token& Parser::take() {
  const Token& token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::skip_name(std::string_view name) {
  if (!current().is_name(name)) return false;
  take();
  return true;
}

bool Parser::skip_operator(std::string_view op) {
  if (!current().is_operator(op)) return false;
  take();
  return true;
}

void Parser::expect(TokenKind kind, const char* what) {
  if (current().kind != kind) fail_at(current(), what);
  take();
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) fail_at(current(), "'" + std::string(op) + "'");
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_at(current(), "'" + std::string(name) + "'");
}

std::string Parser::take_identifier() {
  if (current().kind != TokenKind::Name) fail_at(current(), "a name");
  return take().text;
}

void Parser::fail_at(const Token& token, const std::string& expected) const {
  throw_error("expected " + expected + ", got " + describe(token), token.line);
}

// --- statements

Body Parser::parse() { return parse_until({}); }

Body Parser::parse_until(const std::vector<std::string_view>& ends) {
  const Nested nested(*this);
  Body body;
  while (current().kind != TokenKind::End) {
    if (current().kind == TokenKind::Data) {
      const Token data = take();
      body.push_back({data.line, Output{data.text}});
    } else if (current().kind == TokenKind::PrintBegin) {
      body.push_back(parse_print());
    } else {
      expect(TokenKind::BlockBegin, "a block");
      const Token& tag = current();
      const bool is_end =
          tag.kind == TokenKind::Name && std::find(ends.begin(), ends.end(), tag.text) != ends.end();
      if (is_end) return body;
      body.push_back(parse_statement());
      expect(TokenKind::BlockEnd, "%}");
    }
  }
  if (!ends.empty())
    throw_error("the template ends where {% " + std::string(ends.back()) + " %} is missing", current().line);
  return body;
}

std::unique_ptr<Body> Parser::parse_body(const std::vector<std::string_view>& ends) {
  skip_operator(":");
  expect(TokenKind::BlockEnd, "%}");
  return std::make_unique<Body>(parse_until(ends));
}

Statement Parser::parse_print() {
  const int line = take().line;
  ExpressionPtr value = parse_tuple();
  expect(TokenKind::PrintEnd, "}}");
  return {line, Print{std::move(value)}};
}

Statement Parser::parse_statement() {
  const Token tag = current();
  if (tag.kind != TokenKind::Name) fail_at(tag, "a tag name");
  take();
  const auto node = [&]() -> Statement::Node {
    if (tag.text == "if") return parse_if();
    if (tag.text == "for") return parse_for();
    if (tag.text == "set") return parse_set();
    if (tag.text == "macro") return parse_macro();
    if (tag.text == "call") return parse_call_block(tag.line);
    if (tag.text == "filter") return parse_filter_block();
    if (tag.text == "with") return parse_with();
    if (tag.text == "break") return parse_loop_control(/*is_break=*/true, tag.line);
    if (tag.text == "continue") return parse_loop_control(/*is_break=*/false, tag.line);
    if (tag.text == "generation") {
      MacroDefinition scope;  // its body is a function of its own in Jinja: no break leaves it
      parse_macro_body(scope, "endgeneration");
      return Scoped{std::make_unique<Body>(std::move(scope.body))};
    }
    throw_error("the tag {% " + tag.text + " %} is not supported here", tag.line);
  };
  return {tag.line, node()};
}

Statement::Node Parser::parse_if() {
  If node;
  do {
    ExpressionPtr test = parse_tuple(/*allows_condition=*/false);
    auto body = parse_body({"elif", "else", "endif"});
    node.branches.emplace_back(std::move(test), std::move(body));
  } while (skip_name("elif"));
  if (skip_name("else")) node.otherwise = parse_body({"endif"});
  expect_name("endif");
  return node;
}

Statement::Node Parser::parse_for() {
  For node;
  node.target = parse_target(/*allows_attribute=*/false, "in");
  expect_name("in");
  node.iterable = parse_tuple(/*allows_condition=*/false, "recursive");
  if (skip_name("if")) node.filter = parse_expression();
  node.is_recursive = skip_name("recursive");
  ++loops_;
  node.body = parse_body({"else", "endfor"});
  --loops_;
  if (skip_name("else")) node.otherwise = parse_body({"endfor"});
  expect_name("endfor");
  return node;
}

Statement::Node Parser::parse_set() {
  Target target = parse_target(/*allows_attribute=*/true);
  if (skip_operator("=")) return Set{std::move(target), parse_tuple()};
  ExpressionPtr filter = current().is_operator("|") ? parse_filter_chain() : nullptr;
  auto body = parse_body({"endset"});
  expect_name("endset");
  return SetBlock{std::move(target), std::move(filter), std::move(body)};
}

void Parser::parse_parameters(MacroDefinition& macro) {
  expect_operator("(");
  while (!current().is_operator(")")) {
    if (!macro.parameters.empty()) expect_operator(",");
    const int line = current().line;
    MacroDefinition::Parameter parameter{take_identifier(), nullptr};
    if (skip_operator("=")) {
      parameter.fallback = parse_expression();
    } else if (!macro.parameters.empty() && macro.parameters.back().fallback) {
      throw_error("a parameter without a default follows one with a default", line);
    } else if (parameter.name == "caller") {
      throw_error("the special parameter 'caller' wants a default", line);
    }
    macro.parameters.push_back(std::move(parameter));
  }
  expect_operator(")");
}

void Parser::parse_macro_body(MacroDefinition& macro, std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  macros_.push_back(&macro);
  macro.body = std::move(*parse_body({end}));
  macros_.pop_back();
  loops_ = loops;
  expect_name(end);
}

Statement::Node Parser::parse_macro() {
  auto macro = std::make_unique<MacroDefinition>();
  macro->name = take_identifier();
  parse_parameters(*macro);
  parse_macro_body(*macro, "endmacro");
  return Macro{std::move(macro)};
}

Statement::Node Parser::parse_call_block(int line) {
  auto caller = std::make_unique<MacroDefinition>();
  caller->name = "caller";
  if (current().is_operator("(")) parse_parameters(*caller);
  ExpressionPtr call = parse_expression();
  if (!std::holds_alternative<CallExpression>(call->node)) throw_error("{% call %} wants a call", line);
  parse_macro_body(*caller, "endcall");
  return CallBlock{std::move(caller), std::move(call)};
}

Statement::Node Parser::parse_filter_block() {
  ExpressionPtr filter = parse_filter_chain();
  auto body = parse_body({"endfilter"});
  expect_name("endfilter");
  return FilterBlock{std::move(filter), std::move(body)};
}

Statement::Node Parser::parse_with() {
  With node;
  while (current().kind != TokenKind::BlockEnd) {
    if (!node.bindings.empty()) expect_operator(",");
    Target target = parse_target(/*allows_attribute=*/false);
    expect_operator("=");
    ExpressionPtr value = parse_expression();
    node.bindings.emplace_back(std::move(target), std::move(value));
  }
  node.body = parse_body({"endwith"});
  expect_name("endwith");
  return node;
}

Statement::Node Parser::parse_loop_control(bool is_break, int line) {
  if (loops_ == 0) throw_error(std::string(is_break ? "break" : "continue") + " outside a loop", line);
  if (is_break) return Break{};
  return Continue{};
}

Target Parser::parse_target(bool allows_attribute, std::string_view end_name) {
  Target tuple;
  tuple.line = current().line;
  tuple.is_tuple = true;
  bool has_comma = false;
  const auto at_end = [&] {
    const TokenKind kind = current().kind;
    return kind == TokenKind::BlockEnd || current().is_operator(")") || current().is_operator("=") ||
           (!end_name.empty() && current().is_name(end_name));
  };
  while (!at_end()) {
    tuple.parts.push_back(parse_one_target(allows_attribute));
    if (!skip_operator(",")) break;
    has_comma = true;
  }
  if (has_comma) return tuple;
  if (tuple.parts.empty()) fail_at(current(), "a name to assign to");
  return std::move(tuple.parts[0]);
}

Target Parser::parse_one_target(bool allows_attribute) {
  const Nested nested(*this);
  const Token token = current();
  if (skip_operator("(")) {
    Target inner = parse_target(allows_attribute);
    expect_operator(")");
    return inner;
  }
  Target target;
  target.line = token.line;
  target.name = take_identifier();
  static constexpr std::string_view kConstants[] = {"true", "false", "True", "False", "none", "None"};
  if (std::find(std::begin(kConstants), std::end(kConstants), target.name) != std::end(kConstants)) {
    throw_error("can't assign to '" + target.name + "'", token.line);
  }
  if (allows_attribute && skip_operator(".")) target.attribute = take_identifier();
  return target;
}

}  // namespace shoal::jinja
