#include "text/jinja/interpreter.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "text/jinja/loop.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace shoal::jinja {

class Interpreter::NewScope {
 public:
  NewScope(Interpreter& interpreter, Scope* parent)
      : interpreter_(interpreter), outer_(interpreter.scope_), scope_(std::make_unique<Scope>()) {
    scope_->parent = parent;
    interpreter_.scope_ = scope_.get();
  }
  ~NewScope() {
    interpreter_.scope_ = outer_;
    if (scope_->is_captured) interpreter_.captured_.push_back(std::move(scope_));
  }
  NewScope(const NewScope&) = delete;
  NewScope& operator=(const NewScope&) = delete;

 private:
  Interpreter& interpreter_;
  Scope* outer_;
  std::unique_ptr<Scope> scope_;
};

class Interpreter::Capture {
 public:
  explicit Capture(Interpreter& interpreter)
      : interpreter_(interpreter), outer_(std::exchange(interpreter.out_, &text_)) {}
  ~Capture() { interpreter_.out_ = outer_; }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  std::string take() { return std::move(text_); }

 private:
  Interpreter& interpreter_;
  std::string text_;
  std::string* outer_;
};

namespace {

void capture(Scope* scope) {
  for (; scope != nullptr && !scope->is_captured; scope = scope->parent) scope->is_captured = true;
}

// A macro as a value: its definition and the scope it was defined in.
class MacroValue final : public Object {
 public:
  MacroValue(Interpreter& interpreter, const MacroDefinition& macro, Scope& scope)
      : interpreter_(interpreter), macro_(macro), scope_(scope) {}
  std::string type_name() const override { return "Macro"; }
  bool is_callable() const override { return true; }

  void append_repr(std::string& out, Budget& budget) const override {
    budget.append(out, "<Macro '" + macro_.name + "'>");
  }

  std::optional<Value> attribute(Runtime&, const std::string& name) override {
    return name == "name" ? std::optional<Value>(macro_.name) : std::nullopt;
  }

  Value call(Runtime& runtime, Arguments arguments) override {
    return runtime.text(interpreter_.call_macro(macro_, scope_, std::move(arguments)));
  }

 private:
  Interpreter& interpreter_;
  const MacroDefinition& macro_;
  Scope& scope_;
};

}  // namespace

Interpreter::Interpreter(const Dict& context, Runtime& runtime) : context_(context), runtime_(runtime) {}

std::string Interpreter::run(const Body& body) {
  Capture page(*this);
  const NewScope scope(*this, nullptr);
  run_body(body);
  return page.take();
}

Interpreter::Flow Interpreter::run_body(const Body& body) {
  for (const Statement& statement : body) {
    const Flow flow = run_statement(statement);
    if (flow != Flow::Normal) return flow;
  }
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_statement(const Statement& statement) {
  try {
    const Budget::Evaluation evaluation(budget());
    budget().step();
    return std::visit([&](const auto& node) { return run_node(node, statement.line); }, statement.node);
  } catch (TemplateError& error) {
    if (error.line == 0) error.line = statement.line;
    throw;
  }
}

Interpreter::Flow Interpreter::run_node(const Output& node, int) {
  print(node.text);
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const Print& node, int) {
  append_str_of(*out_, evaluate(*node.value), budget());
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const If& node, int) {
  for (const auto& [test, body] : node.branches) {
    if (is_truthy(evaluate(*test))) return run_body(*body);
  }
  return node.otherwise ? run_body(*node.otherwise) : Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const For& node, int) {
  if (node.is_recursive || node.filter) capture(scope_);  // its `loop` may come back to this scope
  return run_loop(node, *scope_, evaluate(*node.iterable), /*depth0=*/0);
}

Interpreter::Flow Interpreter::run_loop(const For& loop, Scope& scope, const Value& iterable, int depth0) {
  const auto state = std::make_shared<Loop>(*this, loop, scope, iterable, depth0);
  const std::unique_ptr<Loop, void (*)(Loop*)> finish(state.get(), [](Loop* done) { done->finish(); });
  while (const std::optional<Value> item = state->advance()) {
    budget().step();
    const NewScope turn(*this, &scope);
    scope_->names.insert_or_assign("loop", Value(state));
    assign(loop.target, *item);
    if (run_body(*loop.body) == Flow::Break) break;
  }
  if (state->was_empty() && loop.otherwise) {
    const NewScope otherwise(*this, &scope);
    return run_body(*loop.otherwise);
  }
  return Flow::Normal;
}

std::string Interpreter::render_loop(const For& loop, Scope& scope, const Value& iterable, int depth0) {
  const Budget::Call call(budget());
  Capture text(*this);
  const NewScope inside(*this, &scope);
  run_loop(loop, scope, iterable, depth0);
  return text.take();
}

bool Interpreter::passes_filter(const For& loop, Scope& scope, const Value& item) {
  if (!loop.filter) return true;
  const NewScope trial(*this, &scope);
  assign(loop.target, item);
  return is_truthy(evaluate(*loop.filter));
}

Interpreter::Flow Interpreter::run_node(const Set& node, int) {
  assign(node.target, evaluate(*node.value));
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const SetBlock& node, int) {
  Value value;
  Flow flow = Flow::Normal;
  {
    Capture text(*this);
    const NewScope scope(*this, scope_);
    flow = run_body(*node.body);
    value = Value(text.take());
  }
  if (flow != Flow::Normal) return flow;  // a break leaves the block before anything is set
  assign(node.target, node.filter ? apply_filter_chain(*node.filter, value) : value);
  return Flow::Normal;
}

Value Interpreter::macro_value(const MacroDefinition& macro) {
  capture(scope_);
  budget().touch(sizeof(MacroValue));
  return Value(std::make_shared<MacroValue>(*this, macro, *scope_));
}

Interpreter::Flow Interpreter::run_node(const Macro& node, int) {
  scope_->names.insert_or_assign(node.definition->name, macro_value(*node.definition));
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const CallBlock& node, int) {
  const auto& call = std::get<CallExpression>(node.call->node);
  const Value callee = evaluate(*call.callee);
  Arguments arguments = evaluate_arguments(call.arguments);
  arguments.named.emplace_back("caller", macro_value(*node.caller));
  append_str_of(*out_, runtime_.call(callee, std::move(arguments)), budget());
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const FilterBlock& node, int) {
  Value text;
  Flow flow = Flow::Normal;
  {
    Capture body(*this);
    const NewScope scope(*this, scope_);
    flow = run_body(*node.body);
    text = Value(body.take());
  }
  if (flow != Flow::Normal) return flow;
  const Value filtered = apply_filter_chain(*node.filter, text);
  if (!filtered.is_string()) throw_error("a filter block must give a str, not " + type_name(filtered));
  print(filtered.string());
  return Flow::Normal;
}

Interpreter::Flow Interpreter::run_node(const With& node, int) {
  List values;
  for (const auto& [target, value] : node.bindings)
    values.push_back(evaluate(*value));  // all before any is bound
  const NewScope scope(*this, scope_);
  for (std::size_t i = 0; i < values.size(); ++i) assign(node.bindings[i].first, values[i]);
  return run_body(*node.body);
}

Interpreter::Flow Interpreter::run_node(const Scoped& node, int) {
  const NewScope scope(*this, scope_);
  return run_body(*node.body);
}

Interpreter::Flow Interpreter::run_node(const Break&, int) { return Flow::Break; }
Interpreter::Flow Interpreter::run_node(const Continue&, int) { return Flow::Continue; }

void Interpreter::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    const List parts = items_of(value, budget());
    if (parts.size() != target.parts.size()) {
      throw_error("expected " + std::to_string(target.parts.size()) + " values to unpack, got " +
                  std::to_string(parts.size()));
    }
    for (std::size_t i = 0; i < parts.size(); ++i) assign(target.parts[i], parts[i]);
    return;
  }
  if (target.attribute.empty()) {
    scope_->names.insert_or_assign(target.name, value);
    return;
  }
  Value object = look_up(target.name);
  auto* const space = object.object_as<Namespace>();
  if (space == nullptr) throw_error("cannot assign attribute on non-namespace object '" + target.name + "'");
  space->set(target.attribute, value);
}

std::string Interpreter::call_macro(const MacroDefinition& macro, Scope& scope, Arguments arguments) {
  const Budget::Call call(budget());
  Capture text(*this);
  const NewScope locals(*this, &scope);
  bind_parameters(macro, std::move(arguments));
  run_body(macro.body);
  return text.take();
}

void Interpreter::bind_parameters(const MacroDefinition& macro, Arguments arguments) {
  std::vector<const MacroDefinition::Parameter*> missing;
  std::size_t taken = 0;
  for (const MacroDefinition::Parameter& parameter : macro.parameters) {
    const auto named = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&](const auto& argument) { return argument.first == parameter.name; });
    if (taken < arguments.positional.size()) {
      scope_->names.insert_or_assign(parameter.name, arguments.positional[taken++]);
    } else if (named != arguments.named.end()) {
      scope_->names.insert_or_assign(parameter.name, std::move(named->second));
      arguments.named.erase(named);
    } else {
      missing.push_back(&parameter);
    }
  }
  arguments.positional.erase(arguments.positional.begin(),
                             arguments.positional.begin() + static_cast<std::ptrdiff_t>(taken));
  bind_extras(macro, std::move(arguments));
  for (const MacroDefinition::Parameter* parameter : missing) {
    Value value = parameter->fallback
                      ? evaluate(*parameter->fallback)
                      : Value::undefined("parameter '" + parameter->name + "' was not provided");
    scope_->names.insert_or_assign(parameter->name, std::move(value));
  }
}

// What the parameters did not take: `caller`, `kwargs` and `varargs`, where the macro speaks of them.
void Interpreter::bind_extras(const MacroDefinition& macro, Arguments arguments) {
  const auto has_parameter = [&](const char* name) {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                       [&](const auto& p) { return p.name == name; });
  };
  Dict named;
  Value caller = Value::undefined("No caller defined");
  const bool takes_caller = macro.uses_caller && !has_parameter("caller");
  for (auto& [name, value] : arguments.named) {
    if (takes_caller && name == "caller") {
      caller = std::move(value);
    } else if (macro.uses_kwargs) {
      named.set(Value(name), std::move(value));
    } else {
      throw_error("macro '" + macro.name + "' takes no keyword argument '" + name + "'");
    }
  }
  if (!macro.uses_varargs && !arguments.positional.empty()) {
    throw_error("macro '" + macro.name + "' takes not more than " + std::to_string(macro.parameters.size()) +
                " arguments");
  }
  if (takes_caller) scope_->names.insert_or_assign("caller", std::move(caller));
  if (macro.uses_kwargs) scope_->names.insert_or_assign("kwargs", Value(std::move(named)));
  if (macro.uses_varargs)
    scope_->names.insert_or_assign("varargs", Value::tuple(std::move(arguments.positional)));
}

}  // namespace shoal::jinja
