#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/object.h"

namespace shoal::jinja {

class Interpreter;
struct Scope;

// One run of a for loop, and what its body sees as `loop`. Items pass the loop's filter as late as possible,
// as in Jinja: looking at loop.last or loop.length runs ahead.
class Loop final : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(Interpreter& interpreter, const For& loop, Scope& scope, const Value& iterable, int depth0);

  std::optional<Value> advance();  // the next item, or the end
  // The loop is over: forgets what `changed` compared with, which may hold the loop itself.
  void finish();
  bool was_empty() const { return index0_ < 0; }

  std::string type_name() const override { return "LoopContext"; }
  std::optional<Value> attribute(Runtime&, const std::string& name) override;
  bool is_callable() const override { return true; }
  Value call(Runtime& runtime, Arguments arguments) override;
  std::optional<std::int64_t> length() override;
  bool is_iterable() const override { return true; }
  std::optional<Value> next() override;
  int depth() const override { return depth_; }

  bool has_changed(List values);
  Value cycled(const List& values) const;

 private:
  std::optional<Value> pull();  // from the iterable, past the filter
  bool look_ahead();            // whether there is a next item, which is then ahead_[0]

  Interpreter& interpreter_;
  const For& loop_;
  Scope& scope_;
  Cursor cursor_;
  std::vector<Value> ahead_;  // pulled and not yet visited, next first
  std::size_t ahead_at_ = 0;
  std::optional<Value> previous_, current_;
  std::optional<Value> changed_;
  bool is_finished_ = false;
  std::optional<std::int64_t> length_;
  std::int64_t index0_ = -1;
  int depth0_;
  int depth_;
};

}  // namespace shoal::jinja
