#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/value.h"

// A parsed template. Built by the parser, read by the interpreter, never changed in between.
namespace shoal::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Body = std::vector<Statement>;

struct CallArgument {
  enum class Kind { Positional, Named, Spread, NamedSpread } kind;
  std::string name;  // of Named
  ExpressionPtr value;
};
using CallArguments = std::vector<CallArgument>;

struct Constant {
  Value value;
};
struct Name {
  std::string name;
};
struct SequenceLiteral {
  bool is_tuple;
  std::vector<ExpressionPtr> items;
};
struct DictLiteral {
  std::vector<std::pair<ExpressionPtr, ExpressionPtr>> entries;
};
struct AttributeAccess {  // object.name
  ExpressionPtr object;
  std::string name;
};
struct ItemAccess {  // object[key]
  ExpressionPtr object, key;
};
struct SliceAccess {  // object[start:stop:step], each may be null
  ExpressionPtr object, start, stop, step;
};
struct CallExpression {
  ExpressionPtr callee;
  CallArguments arguments;
};
struct FilterExpression {  // input|name(arguments); no input at the head of a filter block's chain
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};
struct TestExpression {  // input is name(arguments)
  ExpressionPtr input;
  std::string name;
  CallArguments arguments;
};
enum class UnaryOperator { Not, Minus, Plus };
struct UnaryExpression {
  UnaryOperator op;
  ExpressionPtr operand;
};
enum class ArithmeticOperator { Add, Subtract, Multiply, Divide, FloorDivide, Modulo, Power };
struct ArithmeticExpression {  // first op operand op operand ..., from left to right
  ExpressionPtr first;
  std::vector<std::pair<ArithmeticOperator, ExpressionPtr>> rest;
};
enum class CompareOperator { Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual, In, NotIn };
struct CompareExpression {  // first op operand op operand ..., each pair must hold
  ExpressionPtr first;
  std::vector<std::pair<CompareOperator, ExpressionPtr>> rest;
};
struct LogicExpression {
  bool is_or;
  std::vector<ExpressionPtr> operands;
};
struct ConcatExpression {  // a ~ b ~ c
  std::vector<ExpressionPtr> parts;
};
struct ConditionalExpression {  // then if test else otherwise; otherwise may be null
  ExpressionPtr test, then, otherwise;
};

struct Expression {
  using Node =
      std::variant<Constant, Name, SequenceLiteral, DictLiteral, AttributeAccess, ItemAccess, SliceAccess,
                   CallExpression, FilterExpression, TestExpression, UnaryExpression, ArithmeticExpression,
                   CompareExpression, LogicExpression, ConcatExpression, ConditionalExpression>;
  int line;
  int height;  // of the tree below, 1 for a leaf
  Node node;
};

// What an assignment writes to: a name, a namespace's attribute, or a tuple of those.
struct Target {
  int line = 0;
  std::string name;
  std::string attribute;      // of name.attribute; empty for a plain name
  std::vector<Target> parts;  // of a tuple; then name is empty
  bool is_tuple = false;
};

// The parameters and body of a macro, or of a call block, which is its `caller`.
struct MacroDefinition {
  struct Parameter {
    std::string name;
    ExpressionPtr fallback;  // may be null
  };
  std::string name;
  std::vector<Parameter> parameters;
  Body body;
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

struct Output {  // text as it stands
  std::string text;
};
struct Print {  // {{ value }}
  ExpressionPtr value;
};
struct If {
  std::vector<std::pair<ExpressionPtr, std::unique_ptr<Body>>> branches;
  std::unique_ptr<Body> otherwise;
};
struct For {
  Target target;
  ExpressionPtr iterable;
  ExpressionPtr filter;  // may be null
  bool is_recursive;
  std::unique_ptr<Body> body, otherwise;
};
struct Set {
  Target target;
  ExpressionPtr value;
};
struct SetBlock {
  Target target;
  ExpressionPtr filter;  // may be null
  std::unique_ptr<Body> body;
};
struct Macro {
  std::unique_ptr<MacroDefinition> definition;
};
struct CallBlock {  // {% call(args) callee(...) %}
  std::unique_ptr<MacroDefinition> caller;
  ExpressionPtr call;
};
struct FilterBlock {
  ExpressionPtr filter;
  std::unique_ptr<Body> body;
};
struct With {
  std::vector<std::pair<Target, ExpressionPtr>> bindings;
  std::unique_ptr<Body> body;
};
struct Scoped {  // {% generation %}: marks the assistant's own words; printed as it stands
  std::unique_ptr<Body> body;
};
struct Break {};
struct Continue {};

struct Statement {
  using Node = std::variant<Output, Print, If, For, Set, SetBlock, Macro, CallBlock, FilterBlock, With,
                            Scoped, Break, Continue>;
  int line;
  Node node;
};

}  // namespace shoal::jinja
