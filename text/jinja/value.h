#pragma once

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/budget.h"

// The values a template computes with: Python's, as far as chat templates use them. A Value is a cheap
// handle; strings, lists and dicts are immutable and shared, so copying one copies a pointer. Lists nest at
// most kMaxNesting deep, which bounds every walk over them (and their destruction); the factories check it.
namespace shoal::jinja {

class Value;
class Dict;
class Object;

struct Undefined {
  std::shared_ptr<const std::string> why;  // what an error says when the value is used after all
};
struct None {};

struct Text {
  std::shared_ptr<const std::string> bytes;  // UTF-8
  bool is_markup = false;  // came out of `escape` or `safe`; `+` then escapes its other side
};

enum class SequenceKind { List, Tuple, Group, DictKeys, DictValues, DictItems };

using List = std::vector<Value>;

struct Sequence {
  SequenceKind kind;
  List items;
  int depth;
};

struct Range {
  std::int64_t start, stop, step;  // step != 0

  std::int64_t size() const;
  std::int64_t at(std::int64_t i) const { return start + i * step; }
};

class Value {
 public:
  Value() : Value(undefined("a value is undefined")) {}
  Value(std::same_as<bool> auto flag) : state_(flag) {}  // no pointer becomes a flag
  Value(std::int64_t number) : state_(number) {}
  Value(int number) : state_(std::int64_t{number}) {}
  Value(double number) : state_(number) {}
  Value(std::string text) : state_(Text{std::make_shared<const std::string>(std::move(text))}) {}
  Value(std::string_view text) : Value(std::string(text)) {}
  Value(const char* text) : Value(std::string(text)) {}
  Value(Dict dict);
  Value(Range range) : state_(std::make_shared<const Range>(range)) {}
  Value(std::shared_ptr<Object> object);

  static Value undefined(std::string why);
  static Value none() { return Value(Made{}, None{}); }
  static Value markup(std::string text);
  static Value list(List items) { return sequence(SequenceKind::List, std::move(items)); }
  static Value tuple(List items) { return sequence(SequenceKind::Tuple, std::move(items)); }
  static Value sequence(SequenceKind kind, List items);

  bool is_undefined() const { return holds<Undefined>(); }
  bool is_none() const { return holds<None>(); }
  bool is_bool() const { return holds<bool>(); }
  bool is_int() const { return holds<std::int64_t>(); }       // a bool is not
  bool is_integral() const { return is_int() || is_bool(); }  // as Python's int, which a bool is
  bool is_float() const { return holds<double>(); }
  bool is_number() const { return is_integral() || is_float(); }
  bool is_string() const { return holds<Text>(); }
  bool is_markup() const { return is_string() && std::get<Text>(state_).is_markup; }
  bool is_sequence() const { return holds<std::shared_ptr<const Sequence>>(); }
  bool is_list() const { return is_sequence() && sequence().kind == SequenceKind::List; }
  bool is_tuple() const { return is_sequence() && sequence().kind <= SequenceKind::Group && !is_list(); }
  bool is_dict() const { return holds<std::shared_ptr<const Dict>>(); }
  bool is_range() const { return holds<std::shared_ptr<const Range>>(); }
  bool is_object() const { return holds<std::shared_ptr<Object>>(); }

  // Each asks for what the value holds: a broken invariant otherwise.
  bool flag() const;
  std::int64_t integer() const;  // of a bool too
  double number() const;         // of any number
  const std::string& string() const;
  const Sequence& sequence() const;
  const Dict& dict() const;
  const Range& range() const;
  const std::shared_ptr<Object>& object() const;
  const std::string& why_undefined() const;

  template <typename T>
  const T* object_as() const {
    return is_object() ? dynamic_cast<const T*>(object().get()) : nullptr;
  }
  template <typename T>
  T* object_as() {
    return is_object() ? dynamic_cast<T*>(object().get()) : nullptr;
  }

  int depth() const;             // how deep lists nest in it; 0 for a plain value
  const void* identity() const;  // the address of what is shared; null for plain values

 private:
  using State =
      std::variant<Undefined, None, bool, std::int64_t, double, Text, std::shared_ptr<const Sequence>,
                   std::shared_ptr<const Dict>, std::shared_ptr<const Range>, std::shared_ptr<Object>>;
  struct Made {};
  Value(Made, State state) : state_(std::move(state)) {}

  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(state_);
  }

  State state_;
};

// A dict keeps the order of insertion, as Python's does. Keys are compared by value: 1, 1.0 and True are one
// key.
class Dict {
 public:
  using Entry = std::pair<Value, Value>;

  void set(const Value& key, Value value);    // throws when the key cannot be hashed
  const Value* find(const Value& key) const;  // null when absent; throws when the key cannot be hashed
  const Value* find(const std::string& key) const { return find(Value(key)); }
  const std::vector<Entry>& entries() const { return entries_; }
  std::size_t size() const { return entries_.size(); }
  int depth() const { return depth_; }

 private:
  std::vector<Entry> entries_;
  std::unordered_map<std::string, std::size_t> index_;  // hash_key(key) → place in entries_
  int depth_ = 1;
};

// Equal values have equal hash keys. Throws for what Python calls unhashable.
std::string hash_key(const Value& value);

// Python's name of the value's type, for messages: "str", "NoneType", ...
std::string type_name(const Value& value);

bool is_truthy(const Value& value);

// len(value); throws for a value without one. Strings count code points.
std::int64_t length_of(const Value& value, Budget& budget);

// Equality is never an error; an order between unlike types is.
bool is_equal(const Value& a, const Value& b, Budget& budget);
bool is_less(const Value& a, const Value& b, Budget& budget);

}  // namespace shoal::jinja
