#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace shoal::jinja {

// The names set at one level: the template, one turn of a loop, one call of a macro. Names not found here are
// looked up in the scope around it.
struct Scope {
  Scope* parent = nullptr;
  std::unordered_map<std::string, Value> names;
  bool is_captured =
      false;  // a macro or a recursive loop may look into it later: it lives to the render's end
};

// One render: walks a template's tree. Lives on one thread for one render.
class Interpreter {
 public:
  Interpreter(const Dict& context, Runtime& runtime);

  // The template's text. Throws TemplateError with its line.
  std::string run(const Body& body);

  // --- for macros and loops, which come back to have a body rendered
  std::string call_macro(const MacroDefinition& macro, Scope& scope, Arguments arguments);
  std::string render_loop(const For& loop, Scope& scope, const Value& iterable, int depth0);
  // Whether the loop's filter keeps the item.
  bool passes_filter(const For& loop, Scope& scope, const Value& item);
  Runtime& runtime() { return runtime_; }
  Budget& budget() { return runtime_.budget(); }

 private:
  enum class Flow { Normal, Break, Continue };
  class NewScope;  // a scope that is current while it lives
  class Capture;   // catches what is printed while it lives

  // --- statements (interpreter.cpp)
  Flow run_body(const Body& body);
  Flow run_statement(const Statement& statement);
  Flow run_node(const Output& node, int line);
  Flow run_node(const Print& node, int line);
  Flow run_node(const If& node, int line);
  Flow run_node(const For& node, int line);
  Flow run_node(const Set& node, int line);
  Flow run_node(const SetBlock& node, int line);
  Flow run_node(const Macro& node, int line);
  Flow run_node(const CallBlock& node, int line);
  Flow run_node(const FilterBlock& node, int line);
  Flow run_node(const With& node, int line);
  Flow run_node(const Scoped& node, int line);
  Flow run_node(const Break& node, int line);
  Flow run_node(const Continue& node, int line);
  Flow run_loop(const For& loop, Scope& scope, const Value& iterable, int depth0);
  void print(std::string_view text) { budget().append(*out_, text); }
  void assign(const Target& target, const Value& value);
  void bind_parameters(const MacroDefinition& macro, Arguments arguments);
  void bind_extras(const MacroDefinition& macro, Arguments arguments);
  Value macro_value(const MacroDefinition& macro);

  // --- expressions (interpreter_expressions.cpp)
  Value evaluate(const Expression& expression);
  Value evaluate_or_none(const ExpressionPtr& expression);
  Value evaluate_node(const Constant& node, int line);
  Value evaluate_node(const Name& node, int line);
  Value evaluate_node(const SequenceLiteral& node, int line);
  Value evaluate_node(const DictLiteral& node, int line);
  Value evaluate_node(const AttributeAccess& node, int line);
  Value evaluate_node(const ItemAccess& node, int line);
  Value evaluate_node(const SliceAccess& node, int line);
  Value evaluate_node(const CallExpression& node, int line);
  Value evaluate_node(const FilterExpression& node, int line);
  Value evaluate_node(const TestExpression& node, int line);
  Value evaluate_node(const UnaryExpression& node, int line);
  Value evaluate_node(const ArithmeticExpression& node, int line);
  Value evaluate_node(const CompareExpression& node, int line);
  Value evaluate_node(const LogicExpression& node, int line);
  Value evaluate_node(const ConcatExpression& node, int line);
  Value evaluate_node(const ConditionalExpression& node, int line);
  Value look_up(const std::string& name);
  Arguments evaluate_arguments(const CallArguments& arguments);
  Value apply_filter_chain(const Expression& filter, Value text);

  const Dict& context_;
  Runtime& runtime_;
  std::vector<std::unique_ptr<Scope>> captured_;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  const Value* chain_input_ = nullptr;  // what a filter block's chain works on
};

}  // namespace shoal::jinja
