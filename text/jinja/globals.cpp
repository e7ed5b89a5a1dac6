// The functions a template may call by name.
#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <utility>

#include "text/jinja/methods.h"
#include "text/jinja/runtime.h"

namespace shoal::jinja {
namespace {

constexpr std::size_t kMaxTimeFormatBytes = 1'000;

Value make_range(Runtime&, const Value&, Arguments arguments) {
  const Parameters p("range", std::move(arguments), {"start", "stop", "step"});
  const std::int64_t start = p.has(1) ? p.integer(0) : 0;
  const std::int64_t stop = p.has(1) ? p.integer(1) : p.integer(0);
  const Range range{start, stop, p.integer(2, 1)};
  if (range.step == 0) throw_error("range(): the step must not be zero");
  if (range.size() > kMaxRange) throw_error("range() of more than " + std::to_string(kMaxRange) + " numbers");
  return range;
}

// dict(mapping or pairs, **named)
Dict dict_from(Runtime& runtime, Arguments arguments) {
  Dict dict;
  if (arguments.positional.size() > 1) throw_error("dict() takes at most one positional argument");
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is_undefined()) throw_error(source.why_undefined());
    if (source.is_dict()) dict = source.dict();
    for (const Value& pair : source.is_dict() ? List() : items_of(source, runtime.budget())) {
      const List parts = items_of(pair, runtime.budget());
      if (parts.size() != 2) throw_error("dict() wants pairs of key and value");
      dict.set(parts[0], parts[1]);
    }
  }
  for (auto& [name, value] : arguments.named) dict.set(Value(name), std::move(value));
  runtime.budget().touch(dict.size() * sizeof(Dict::Entry));
  return dict;
}

Value make_dict(Runtime& runtime, const Value&, Arguments arguments) {
  return dict_from(runtime, std::move(arguments));
}

Value make_namespace(Runtime& runtime, const Value&, Arguments arguments) {
  return runtime.new_namespace(dict_from(runtime, std::move(arguments)));
}

// cycler(a, b, ...): its items in turn, again and again.
class Cycler final : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  int depth() const override { return items_.depth() + 1; }

  std::optional<Value> attribute(Runtime&, const std::string& name) override;

  Value current() const { return items_.sequence().items[position_]; }
  void reset() { position_ = 0; }
  void advance() { position_ = (position_ + 1) % items_.sequence().items.size(); }

 private:
  Value items_;
  std::size_t position_ = 0;
};

class CyclerMethod final : public Object {
 public:
  CyclerMethod(std::shared_ptr<Cycler> cycler, bool is_next)
      : cycler_(std::move(cycler)), is_next_(is_next) {}
  std::string type_name() const override { return "method"; }
  bool is_callable() const override { return true; }
  int depth() const override { return cycler_->depth() + 1; }

  Value call(Runtime&, Arguments arguments) override {
    const Parameters none("next", std::move(arguments), {});
    if (!is_next_) {
      cycler_->reset();
      return Value::none();
    }
    Value item = cycler_->current();
    cycler_->advance();
    return item;
  }

 private:
  std::shared_ptr<Cycler> cycler_;
  bool is_next_;
};

std::optional<Value> Cycler::attribute(Runtime&, const std::string& name) {
  if (name == "current") return current();
  if (name == "next" || name == "reset")
    return Value(std::make_shared<CyclerMethod>(shared_from_this(), name == "next"));
  return std::nullopt;
}

Value make_cycler(Runtime&, const Value&, Arguments arguments) {
  if (arguments.positional.empty()) throw_error("cycler() wants at least one item");
  return Value(std::make_shared<Cycler>(Value::list(std::move(arguments.positional))));
}

// joiner(sep): nothing at the first call, the separator at each later one.
class Joiner final : public Object {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  bool is_callable() const override { return true; }
  int depth() const override { return separator_.depth() + 1; }

  Value call(Runtime&, Arguments arguments) override {
    const Parameters none("joiner", std::move(arguments), {});
    return std::exchange(was_used_, true) ? separator_ : Value("");
  }

 private:
  Value separator_;
  bool was_used_ = false;
};

Value make_joiner(Runtime&, const Value&, Arguments arguments) {
  const Parameters p("joiner", std::move(arguments), {"sep"});
  return Value(std::make_shared<Joiner>(p.optional(0, Value(", "))));
}

Value raise_exception(Runtime& runtime, const Value&, Arguments arguments) {
  const Parameters p("raise_exception", std::move(arguments), {"message"});
  throw_error(runtime.str(p.required(0)));
}

// Python's clock has no zone here, and counts microseconds, which ours does not.
std::string without_zone(const std::string& format) {
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    const char mark = format[i] == '%' && i + 1 < format.size() ? format[i + 1] : '\0';
    if (mark == 'z' || mark == 'Z' || mark == 'f') {
      out += mark == 'f' ? "000000" : "";
      ++i;
    } else {
      out += format[i];
      if (mark != '\0') out += format[++i];
    }
  }
  return out;
}

Value strftime_now(Runtime& runtime, const Value&, Arguments arguments) {
  const Parameters p("strftime_now", std::move(arguments), {"format"});
  const std::string format = without_zone(p.string(0));
  if (format.empty()) return "";
  if (format.size() > kMaxTimeFormatBytes) throw_error("strftime_now(): the format is too long");
  const std::time_t seconds = std::chrono::system_clock::to_time_t(runtime.now());
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 16 * kMaxTimeFormatBytes> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), format.c_str(), &parts);
  if (size == 0) throw_error("strftime_now(): the format makes no text, or too much");
  return runtime.text(std::string(text.data(), size));
}

constexpr std::array kGlobals = std::to_array<Method>({{"cycler", make_cycler},
                                                       {"dict", make_dict},
                                                       {"joiner", make_joiner},
                                                       {"namespace", make_namespace},
                                                       {"raise_exception", raise_exception},
                                                       {"range", make_range},
                                                       {"strftime_now", strftime_now}});

}  // namespace

Function find_global(std::string_view name) {
  for (const Method& global : kGlobals) {
    if (global.name == name) return global.function;
  }
  return nullptr;
}

}  // namespace shoal::jinja
