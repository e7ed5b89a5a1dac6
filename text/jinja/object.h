#pragma once

#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace shoal::jinja {

class Runtime;

// What a call passes.
struct Arguments {
  List positional;
  std::vector<std::pair<std::string, Value>> named;
};

// Arguments matched to parameter names, by place or by name, as Python matches them.
class Parameters {
 public:
  // Throws for one argument too many, an unknown name, or a name given twice.
  Parameters(const char* function, Arguments arguments, std::initializer_list<const char*> names);

  bool has(std::size_t i) const { return values_[i].has_value(); }
  const Value& required(std::size_t i) const;  // throws when it was not passed
  Value optional(std::size_t i, Value fallback) const { return has(i) ? *values_[i] : std::move(fallback); }
  bool flag(std::size_t i, bool fallback) const { return has(i) ? is_truthy(*values_[i]) : fallback; }
  std::int64_t integer(std::size_t i) const;  // required, and an int
  std::int64_t integer(std::size_t i, std::int64_t fallback) const { return has(i) ? integer(i) : fallback; }
  const std::string& string(std::size_t i) const;  // required, and a str

 private:
  const char* function_;
  std::vector<const char*> names_;
  std::vector<std::optional<Value>> values_;
};

// A value with behaviour: a macro, a bound method, a namespace, `loop`, ... Lives on one render's thread.
class Object {
 public:
  virtual ~Object() = default;
  virtual std::string type_name() const = 0;
  virtual void append_repr(std::string& out, Budget& budget) const;
  virtual std::optional<Value> attribute(Runtime&, const std::string& /*name*/) { return std::nullopt; }
  virtual bool is_callable() const { return false; }
  virtual Value call(Runtime& runtime, Arguments arguments);  // throws unless is_callable()
  virtual std::optional<std::int64_t> length() { return std::nullopt; }
  virtual bool is_iterable() const { return false; }
  virtual std::optional<Value> next() { return std::nullopt; }  // of an iterable: the item, or the end
  virtual int depth() const { return 0; }                       // of the values it holds and never lets go of
};

// A function of ours: a method bound to `self`, or a global one, whose `self` is undefined.
using Function = Value (*)(Runtime& runtime, const Value& self, Arguments arguments);

class BoundFunction final : public Object {
 public:
  BoundFunction(std::string name, Function function, Value self)
      : name_(std::move(name)), function_(function), self_(std::move(self)) {}
  std::string type_name() const override { return "builtin_function_or_method"; }
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override;
  int depth() const override { return self_.depth() + 1; }

 private:
  std::string name_;
  Function function_;
  Value self_;
};

// What Python's lazy filters (map, select, ...) give: items to be taken once. Ours are computed at once; an
// error on the way waits, as a lazy filter's would, until the items before it are taken.
class Iterator final : public Object {
 public:
  static Value make(List items, const char* type_name);
  // fill(List& items) appends the items of a generator, and may throw.
  template <typename Fill>
  static Value generator(Fill fill);
  Iterator(List items, std::optional<TemplateError> error, const char* type_name);
  std::string type_name() const override { return type_name_; }
  bool is_iterable() const override { return true; }
  std::optional<Value> next() override;
  int depth() const override { return depth_; }

 private:
  List items_;
  std::optional<TemplateError> error_;  // what comes behind the items
  std::size_t next_ = 0;
  const char* type_name_;
  int depth_ = 1;
};

template <typename Fill>
Value Iterator::generator(Fill fill) {
  List items;
  std::optional<TemplateError> error;
  try {
    fill(items);
  } catch (const TemplateError& caught) {
    error = caught;
  }
  return Value(std::make_shared<Iterator>(std::move(items), std::move(error), "generator"));
}

// namespace(...): the one thing a template may assign into. It may come to hold itself, so the Runtime
// empties each at the end of a render.
class Namespace final : public Object {
 public:
  explicit Namespace(Dict attributes) : attributes_(std::move(attributes)) {}
  std::string type_name() const override { return "Namespace"; }
  void append_repr(std::string& out, Budget& budget) const override;
  std::optional<Value> attribute(Runtime&, const std::string& name) override;
  void set(const std::string& name, Value value) { attributes_.set(name, std::move(value)); }
  void clear() { attributes_ = Dict(); }

 private:
  Dict attributes_;
};

// Walks the items of any iterable value without copying it.
class Cursor {
 public:
  explicit Cursor(Value iterable);  // throws when it is not iterable
  std::optional<Value> next();

 private:
  Value iterable_;
  std::size_t position_ = 0;
};

bool is_iterable(const Value& value);
bool is_callable(const Value& value);

// All items of an iterable, each counted as a step.
List items_of(const Value& iterable, Budget& budget);

// new list or tuple values whose size is counted
Value new_list(List items, Budget& budget);

}  // namespace shoal::jinja
