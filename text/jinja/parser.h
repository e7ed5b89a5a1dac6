#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace shoal::jinja {

// Reads a token list into a tree by recursive descent, at most kMaxNesting deep. Throws TemplateError.
// One file holds the statements (parser.cpp), one the expressions (parser_expressions.cpp).
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}

  Body parse();

 private:
  class Nested;  // counts one level of nesting while it lives

  // --- tokens
  const Token& current() const { return tokens_[at_]; }
  const Token& look_ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  const Token& take();  // the current token; moves on to the next
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view op);
  void expect(TokenKind kind, const char* what);
  void expect_operator(std::string_view op);
  void expect_name(std::string_view name);
  std::string take_identifier();
  [[noreturn]] void fail_at(const Token& token, const std::string& expected) const;

  // --- statements
  // Reads up to a block tag that starts with one of `ends`, whose name is left as the current token.
  Body parse_until(const std::vector<std::string_view>& ends);
  // Past the tag's own end, a body, and its end tag's name.
  std::unique_ptr<Body> parse_body(const std::vector<std::string_view>& ends);
  Statement parse_statement();
  Statement parse_print();
  Statement::Node parse_if();
  Statement::Node parse_for();
  Statement::Node parse_set();
  Statement::Node parse_macro();
  Statement::Node parse_call_block(int line);
  Statement::Node parse_filter_block();
  Statement::Node parse_with();
  Statement::Node parse_loop_control(bool is_break, int line);
  void parse_parameters(MacroDefinition& macro);
  void parse_macro_body(MacroDefinition& macro, std::string_view end);
  Target parse_target(bool allows_attribute, std::string_view end_name = {});
  Target parse_one_target(bool allows_attribute);

  // --- expressions, loosest binding first
  ExpressionPtr parse_tuple(bool allows_condition = true, std::string_view end_name = {},
                            bool is_parenthesised = false);
  ExpressionPtr parse_expression(bool allows_condition = true);
  ExpressionPtr parse_conditional();
  ExpressionPtr parse_or();
  ExpressionPtr parse_and();
  ExpressionPtr parse_not();
  ExpressionPtr parse_comparison();
  ExpressionPtr parse_sum();
  ExpressionPtr parse_concatenation();
  ExpressionPtr parse_product();
  ExpressionPtr parse_power();
  ExpressionPtr parse_unary(bool allows_filters = true);
  ExpressionPtr parse_primary();
  ExpressionPtr parse_name();
  ExpressionPtr parse_strings();
  ExpressionPtr parse_list();
  ExpressionPtr parse_dict();
  ExpressionPtr parse_postfix(ExpressionPtr expression);
  ExpressionPtr parse_filters_and_tests(ExpressionPtr expression);
  ExpressionPtr parse_subscript(ExpressionPtr object);
  ExpressionPtr parse_key(ExpressionPtr& object);
  ExpressionPtr parse_attribute(ExpressionPtr object);
  ExpressionPtr parse_call(ExpressionPtr callee);
  ExpressionPtr parse_filter(ExpressionPtr input);
  ExpressionPtr parse_filter_chain();  // of a filter block or a block set, which have no input yet
  ExpressionPtr parse_test(ExpressionPtr input);
  CallArguments parse_arguments();
  CallArguments parse_test_arguments();
  CallArgument parse_argument();
  template <typename Operator>
  using OperatorNames = std::span<const std::pair<std::string_view, Operator>>;
  ExpressionPtr parse_arithmetic(ExpressionPtr (Parser::*parse_operand)(),
                                 OperatorNames<ArithmeticOperator> operators);
  ExpressionPtr parse_power_operand() { return parse_unary(); }
  bool take_compare_operator(CompareOperator& op);

  // A node over these children; throws when the tree grows too high.
  ExpressionPtr make(int line, int children_height, Expression::Node node) const;

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;                         // around this point, within the same macro
  std::vector<MacroDefinition*> macros_;  // around this point
};

}  // namespace shoal::jinja
