#include <utility>

#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace shoal::jinja {

Value Interpreter::evaluate(const Expression& expression) {
  try {
    const Budget::Evaluation evaluation(budget());
    budget().step();
    return std::visit([&](const auto& node) { return evaluate_node(node, expression.line); },
                      expression.node);
  } catch (TemplateError& error) {
    if (error.line == 0) error.line = expression.line;
    throw;
  }
}

Value Interpreter::evaluate_or_none(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : Value::none();
}

Value Interpreter::evaluate_node(const Constant& node, int) { return node.value; }

Value Interpreter::evaluate_node(const Name& node, int) { return look_up(node.name); }

Value Interpreter::look_up(const std::string& name) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    const auto found = scope->names.find(name);
    if (found != scope->names.end()) return found->second;
  }
  if (const Value* value = context_.find(name)) return *value;
  if (const Function global = find_global(name)) {
    return Value(std::make_shared<BoundFunction>(name, global, Value()));
  }
  return Value::undefined("'" + name + "' is undefined");
}

Value Interpreter::evaluate_node(const SequenceLiteral& node, int) {
  List items;
  items.reserve(node.items.size());
  for (const ExpressionPtr& item : node.items) items.push_back(evaluate(*item));
  budget().touch(items.size() * sizeof(Value));
  return node.is_tuple ? Value::tuple(std::move(items)) : Value::list(std::move(items));
}

Value Interpreter::evaluate_node(const DictLiteral& node, int) {
  Dict dict;
  for (const auto& [key, value] : node.entries) {
    const Value evaluated_key = evaluate(*key);
    dict.set(evaluated_key, evaluate(*value));
  }
  budget().touch(dict.size() * sizeof(Dict::Entry));
  return dict;
}

Value Interpreter::evaluate_node(const AttributeAccess& node, int) {
  return attribute_of(runtime_, evaluate(*node.object), node.name);
}

Value Interpreter::evaluate_node(const ItemAccess& node, int) {
  const Value object = evaluate(*node.object);
  return item_of(runtime_, object, evaluate(*node.key));
}

Value Interpreter::evaluate_node(const SliceAccess& node, int) {
  const Value object = evaluate(*node.object);
  const Value start = evaluate_or_none(node.start);
  const Value stop = evaluate_or_none(node.stop);
  return slice_of(runtime_, object, start, stop, evaluate_or_none(node.step));
}

Value Interpreter::evaluate_node(const CallExpression& node, int) {
  const Value callee = evaluate(*node.callee);
  return runtime_.call(callee, evaluate_arguments(node.arguments));
}

Arguments Interpreter::evaluate_arguments(const CallArguments& arguments) {
  Arguments out;
  const auto add_named = [&](const std::string& name, Value value) {
    for (const auto& [other, _] : out.named) {
      if (other == name) throw_error("the argument '" + name + "' is given twice");
    }
    out.named.emplace_back(name, std::move(value));
  };
  for (const CallArgument& argument : arguments) {
    Value value = evaluate(*argument.value);
    switch (argument.kind) {
      case CallArgument::Kind::Positional:
        out.positional.push_back(std::move(value));
        break;
      case CallArgument::Kind::Named:
        add_named(argument.name, std::move(value));
        break;
      case CallArgument::Kind::Spread:
        for (Value& item : items_of(value, budget())) out.positional.push_back(std::move(item));
        break;
      case CallArgument::Kind::NamedSpread:
        if (!value.is_dict()) throw_error("** wants a dict, not " + type_name(value));
        for (const auto& [name, item] : value.dict().entries()) {
          if (!name.is_string()) throw_error("the names of ** must be strings");
          budget().step();
          add_named(name.string(), item);
        }
        break;
    }
  }
  return out;
}

Value Interpreter::evaluate_node(const FilterExpression& node, int) {
  const Value input = node.input ? evaluate(*node.input) : *chain_input_;
  return runtime_.filter(node.name, input, evaluate_arguments(node.arguments));
}

Value Interpreter::apply_filter_chain(const Expression& filter, Value text) {
  const Value* const outer = std::exchange(chain_input_, &text);
  try {
    Value result = evaluate(filter);
    chain_input_ = outer;
    return result;
  } catch (...) {
    chain_input_ = outer;
    throw;
  }
}

Value Interpreter::evaluate_node(const TestExpression& node, int) {
  const Value input = evaluate(*node.input);
  return runtime_.test(node.name, input, evaluate_arguments(node.arguments));
}

Value Interpreter::evaluate_node(const UnaryExpression& node, int) {
  Value operand = evaluate(*node.operand);
  switch (node.op) {
    case UnaryOperator::Not:
      return !is_truthy(operand);
    case UnaryOperator::Minus:
      return negated(operand);
    case UnaryOperator::Plus:
      return unary_plus(operand);
  }
  return operand;
}

Value Interpreter::evaluate_node(const ArithmeticExpression& node, int) {
  Value result = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) result = arithmetic(runtime_, op, result, evaluate(*operand));
  return result;
}

Value Interpreter::evaluate_node(const CompareExpression& node, int) {
  Value left = evaluate(*node.first);
  for (const auto& [op, operand] : node.rest) {
    Value right = evaluate(*operand);
    if (!compares(runtime_, op, left, right)) return false;
    left = std::move(right);
  }
  return true;
}

// The operand that decides is the value, as in Python.
Value Interpreter::evaluate_node(const LogicExpression& node, int) {
  Value value;
  for (const ExpressionPtr& operand : node.operands) {
    value = evaluate(*operand);
    if (is_truthy(value) == node.is_or) return value;
  }
  return value;
}

Value Interpreter::evaluate_node(const ConcatExpression& node, int) {
  std::string text;
  for (const ExpressionPtr& part : node.parts) append_str_of(text, evaluate(*part), budget());
  return Value(std::move(text));
}

Value Interpreter::evaluate_node(const ConditionalExpression& node, int) {
  if (is_truthy(evaluate(*node.test))) return evaluate(*node.then);
  if (node.otherwise) return evaluate(*node.otherwise);
  return Value::undefined("the inline if-expression evaluated to false and no else section was defined.");
}

}  // namespace shoal::jinja
