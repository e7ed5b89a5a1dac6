#include "text/jinja/loop.h"

#include <utility>

#include "text/jinja/interpreter.h"

namespace shoal::jinja {
namespace {

// loop.cycle and loop.changed, taken from their loop.
class LoopMethod final : public Object {
 public:
  LoopMethod(Value loop, bool is_cycle) : loop_(std::move(loop)), is_cycle_(is_cycle) {}
  std::string type_name() const override { return "method"; }
  bool is_callable() const override { return true; }
  int depth() const override { return loop_.depth() + 1; }

  Value call(Runtime&, Arguments arguments) override {
    if (!arguments.named.empty()) throw_error("loop.cycle and loop.changed take no named arguments");
    Loop& loop = *loop_.object_as<Loop>();
    return is_cycle_ ? loop.cycled(arguments.positional)
                     : Value(loop.has_changed(std::move(arguments.positional)));
  }

 private:
  Value loop_;
  bool is_cycle_;
};

}  // namespace

Loop::Loop(Interpreter& interpreter, const For& loop, Scope& scope, const Value& iterable, int depth0)
    : interpreter_(interpreter),
      loop_(loop),
      scope_(scope),
      cursor_(iterable),
      depth0_(depth0),
      depth_(iterable.depth() + 1) {
  if (depth_ > kMaxNesting) throw_error("lists nest more than " + std::to_string(kMaxNesting) + " deep");
  const bool has_length = !loop.filter && !iterable.is_object();
  if (has_length) length_ = length_of(iterable, interpreter.budget());
}

std::optional<Value> Loop::pull() {
  while (std::optional<Value> item = cursor_.next()) {
    interpreter_.budget().step();
    if (interpreter_.passes_filter(loop_, scope_, *item)) return item;
  }
  return std::nullopt;
}

bool Loop::look_ahead() {
  if (ahead_at_ < ahead_.size()) return true;
  std::optional<Value> item = pull();
  if (!item) return false;
  ahead_.assign(1, *std::move(item));
  ahead_at_ = 0;
  return true;
}

std::optional<Value> Loop::advance() {
  std::optional<Value> item;
  if (ahead_at_ < ahead_.size()) {
    item = std::move(ahead_[ahead_at_++]);
  } else {
    item = pull();
  }
  if (!item) return std::nullopt;
  ++index0_;
  previous_ = std::move(current_);
  current_ = item;
  return item;
}

// Iterating over `loop` itself takes its items away, as in Jinja, where each comes with the loop.
std::optional<Value> Loop::next() { throw_error("iterating over 'loop' itself is not supported"); }

std::optional<std::int64_t> Loop::length() {
  if (!length_) {
    ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<std::ptrdiff_t>(ahead_at_));
    ahead_at_ = 0;
    while (std::optional<Value> item = pull()) {
      interpreter_.budget().touch(sizeof(Value));
      ahead_.push_back(*std::move(item));
    }
    length_ = index0_ + 1 + static_cast<std::int64_t>(ahead_.size());
  }
  return length_;
}

std::optional<Value> Loop::attribute(Runtime&, const std::string& name) {
  if (name == "index") return Value(index0_ + 1);
  if (name == "index0") return Value(index0_);
  if (name == "first") return Value(index0_ == 0);
  if (name == "last") return Value(!look_ahead());
  if (name == "length") return Value(*length());
  if (name == "revindex") return Value(*length() - index0_);
  if (name == "revindex0") return Value(*length() - index0_ - 1);
  if (name == "depth") return Value(depth0_ + 1);
  if (name == "depth0") return Value(depth0_);
  if (name == "previtem") return previous_ ? *previous_ : Value::undefined("there is no previous item");
  if (name == "nextitem") return look_ahead() ? ahead_[ahead_at_] : Value::undefined("there is no next item");
  if (name == "cycle" || name == "changed") {
    return Value(std::make_shared<LoopMethod>(Value(shared_from_this()), name == "cycle"));
  }
  return std::nullopt;
}

Value Loop::call(Runtime& runtime, Arguments arguments) {
  if (!loop_.is_recursive) throw_error("the loop must have the 'recursive' marker to be called recursively");
  const Parameters p("loop", std::move(arguments), {"iterable"});
  return runtime.text(interpreter_.render_loop(loop_, scope_, p.required(0), depth0_ + 1));
}

Value Loop::cycled(const List& values) const {
  if (values.empty()) throw_error("loop.cycle(): no items for cycling given");
  return values[static_cast<std::size_t>(index0_) % values.size()];
}

void Loop::finish() {
  changed_.reset();
  is_finished_ = true;
}

bool Loop::has_changed(List values) {
  if (is_finished_) return true;
  Value latest = Value::tuple(std::move(values));
  const bool changed = !changed_ || !is_equal(*changed_, latest, interpreter_.budget());
  if (changed) changed_ = std::move(latest);
  return changed;
}

}  // namespace shoal::jinja
