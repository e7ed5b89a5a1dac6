#include "text/jinja/value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/check.h"
#include "text/jinja/object.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

constexpr std::size_t kMaxHashKeyBytes = 16 << 20;

int nested_in(int depth) {
  if (depth >= kMaxNesting)
    throw_error("lists or dicts nest more than " + std::to_string(kMaxNesting) + " deep");
  return depth + 1;
}

int deepest(const List& items) {
  int depth = 0;
  for (const Value& item : items) depth = std::max(depth, item.depth());
  return depth;
}

void check_num_items(std::size_t count) {
  if (count > kMaxItems) throw_error("a list or dict of more than " + std::to_string(kMaxItems) + " items");
}

void append_number_key(std::string& out, double number) {
  char digits[32];
  const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
  out.append(digits, end);
}

void append_hash_key(std::string& out, const Value& value) {
  if (out.size() > kMaxHashKeyBytes) throw_error("a dict key is too large");
  if (value.is_string()) {
    out += 's' + std::to_string(value.string().size()) + ':' + value.string();
  } else if (value.is_integral()) {
    out += 'n' + std::to_string(value.integer()) + ';';
  } else if (value.is_float()) {
    const double number = value.number();
    const bool is_whole = std::nearbyint(number) == number && std::fabs(number) < 9e18;
    out += 'n';
    is_whole ? out += std::to_string(static_cast<std::int64_t>(number))
             : (append_number_key(out, number), out);
    out += ';';
  } else if (value.is_none()) {
    out += "none;";
  } else if (value.is_undefined()) {
    out += "undefined;";
  } else if (value.is_tuple()) {
    out += '(';
    for (const Value& item : value.sequence().items) append_hash_key(out, item);
    out += ')';
  } else if (value.is_object()) {
    out += 'o' + std::to_string(reinterpret_cast<std::uintptr_t>(value.identity())) + ';';
  } else if (value.is_range()) {
    const Range& range = value.range();
    out += 'r' + std::to_string(range.start) + ',' + std::to_string(range.stop) + ',' +
           std::to_string(range.step) + ';';
  } else {
    throw_error("unhashable type: '" + type_name(value) + "'");
  }
}

bool are_equal_lists(const List& a, const List& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!is_equal(a[i], b[i], budget)) return false;
  }
  return true;
}

bool are_equal_dicts(const Dict& a, const Dict& b, Budget& budget) {
  if (a.size() != b.size()) return false;
  for (const auto& [key, value] : a.entries()) {
    const Value* other = b.find(key);
    if (other == nullptr || !is_equal(value, *other, budget)) return false;
  }
  return true;
}

bool are_equal_ranges(const Range& a, const Range& b) {
  if (a.size() != b.size() || a.size() == 0) return a.size() == b.size();
  return a.start == b.start && (a.size() == 1 || a.step == b.step);
}

bool is_lesser_list(const List& a, const List& b, Budget& budget) {
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (!is_equal(a[i], b[i], budget)) return is_less(a[i], b[i], budget);
  }
  return a.size() < b.size();
}

}  // namespace

std::int64_t Range::size() const {
  if (step > 0 ? start >= stop : start <= stop) return 0;
  const auto low = static_cast<std::uint64_t>(std::min(start, stop));
  const auto high = static_cast<std::uint64_t>(std::max(start, stop));
  const auto stride = step > 0 ? static_cast<std::uint64_t>(step) : 0 - static_cast<std::uint64_t>(step);
  const std::uint64_t count = (high - low - 1) / stride + 1;
  return static_cast<std::int64_t>(std::min<std::uint64_t>(count, INT64_MAX));
}

Value::Value(Dict dict) : state_(std::make_shared<const Dict>(std::move(dict))) {}
Value::Value(std::shared_ptr<Object> object) : state_(std::move(object)) {}

Value Value::undefined(std::string why) {
  return Value(Made{}, Undefined{std::make_shared<const std::string>(std::move(why))});
}

Value Value::markup(std::string text) {
  return Value(Made{}, Text{std::make_shared<const std::string>(std::move(text)), /*is_markup=*/true});
}

Value Value::sequence(SequenceKind kind, List items) {
  check_num_items(items.size());
  const int depth = nested_in(deepest(items));
  return Value(Made{}, std::make_shared<const Sequence>(Sequence{kind, std::move(items), depth}));
}

bool Value::flag() const { return std::get<bool>(state_); }

std::int64_t Value::integer() const {
  return is_bool() ? std::int64_t{flag()} : std::get<std::int64_t>(state_);
}

double Value::number() const {
  return is_float() ? std::get<double>(state_) : static_cast<double>(integer());
}
const std::string& Value::string() const { return *std::get<Text>(state_).bytes; }
const Sequence& Value::sequence() const { return *std::get<std::shared_ptr<const Sequence>>(state_); }
const Dict& Value::dict() const { return *std::get<std::shared_ptr<const Dict>>(state_); }
const Range& Value::range() const { return *std::get<std::shared_ptr<const Range>>(state_); }
const std::shared_ptr<Object>& Value::object() const { return std::get<std::shared_ptr<Object>>(state_); }
const std::string& Value::why_undefined() const { return *std::get<Undefined>(state_).why; }

int Value::depth() const {
  if (is_sequence()) return sequence().depth;
  if (is_dict()) return dict().depth();
  return is_object() ? object()->depth() : 0;
}

const void* Value::identity() const {
  if (is_string()) return &string();
  if (is_sequence()) return &sequence();
  if (is_dict()) return &dict();
  if (is_range()) return &range();
  return is_object() ? object().get() : nullptr;
}

void Dict::set(const Value& key, Value value) {
  const int depth = nested_in(std::max(key.depth(), value.depth()));
  const auto [place, is_new] = index_.try_emplace(hash_key(key), entries_.size());
  if (is_new) {
    check_num_items(entries_.size() + 1);
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[place->second].second = std::move(value);
  }
  depth_ = std::max(depth_, depth);
}

const Value* Dict::find(const Value& key) const {
  const auto place = index_.find(hash_key(key));
  return place == index_.end() ? nullptr : &entries_[place->second].second;
}

std::string hash_key(const Value& value) {
  std::string key;
  append_hash_key(key, value);
  return key;
}

std::string type_name(const Value& value) {
  if (value.is_undefined()) return "Undefined";
  if (value.is_none()) return "NoneType";
  if (value.is_bool()) return "bool";
  if (value.is_int()) return "int";
  if (value.is_float()) return "float";
  if (value.is_string()) return value.is_markup() ? "Markup" : "str";
  if (value.is_dict()) return "dict";
  if (value.is_range()) return "range";
  if (value.is_object()) return value.object()->type_name();
  switch (value.sequence().kind) {
    case SequenceKind::List:
      return "list";
    case SequenceKind::Tuple:
      return "tuple";
    case SequenceKind::Group:
      return "_GroupTuple";
    case SequenceKind::DictKeys:
      return "dict_keys";
    case SequenceKind::DictValues:
      return "dict_values";
    case SequenceKind::DictItems:
      return "dict_items";
  }
  return "object";
}

bool is_truthy(const Value& value) {
  if (value.is_undefined() || value.is_none()) return false;
  if (value.is_number()) return value.number() != 0;
  if (value.is_string()) return !value.string().empty();
  if (value.is_sequence()) return !value.sequence().items.empty();
  if (value.is_dict()) return value.dict().size() != 0;
  if (value.is_range()) return value.range().size() != 0;
  const std::optional<std::int64_t> length = value.object()->length();
  return !length || *length != 0;
}

std::int64_t length_of(const Value& value, Budget& budget) {
  if (value.is_undefined()) return 0;
  if (value.is_string()) {
    budget.touch(value.string().size());
    return static_cast<std::int64_t>(count_code_points(value.string()));
  }
  if (value.is_sequence()) return static_cast<std::int64_t>(value.sequence().items.size());
  if (value.is_dict()) return static_cast<std::int64_t>(value.dict().size());
  if (value.is_range()) return value.range().size();
  if (value.is_object()) {
    if (const std::optional<std::int64_t> length = value.object()->length()) return *length;
  }
  throw_error("object of type '" + type_name(value) + "' has no len()");
}

bool is_equal(const Value& a, const Value& b, Budget& budget) {
  budget.step();
  if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
  if (a.is_number() && b.is_number()) return a.number() == b.number();
  if (a.is_string() && b.is_string()) {
    if (a.string().size() == b.string().size()) budget.touch(a.string().size());
    return a.string() == b.string();
  }
  if (a.is_dict() && b.is_dict()) return are_equal_dicts(a.dict(), b.dict(), budget);
  if (a.is_range() && b.is_range()) return are_equal_ranges(a.range(), b.range());
  const bool like_sequences = (a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple()) ||
                              (a.is_sequence() && b.is_sequence() && a.sequence().kind == b.sequence().kind);
  if (like_sequences) return are_equal_lists(a.sequence().items, b.sequence().items, budget);
  if (a.is_object() && b.is_object()) return a.identity() == b.identity();
  return (a.is_none() && b.is_none()) || (a.is_undefined() && b.is_undefined());
}

bool is_less(const Value& a, const Value& b, Budget& budget) {
  budget.step();
  if (a.is_undefined()) throw_error(a.why_undefined());
  if (b.is_undefined()) throw_error(b.why_undefined());
  if (a.is_integral() && b.is_integral()) return a.integer() < b.integer();
  if (a.is_number() && b.is_number()) return a.number() < b.number();
  if (a.is_string() && b.is_string()) {
    budget.touch(std::min(a.string().size(), b.string().size()));
    return a.string() < b.string();  // the order of UTF-8 bytes is the order of code points
  }
  const bool like_sequences = (a.is_list() && b.is_list()) || (a.is_tuple() && b.is_tuple());
  if (like_sequences) return is_lesser_list(a.sequence().items, b.sequence().items, budget);
  throw_error("'<' not supported between instances of '" + type_name(a) + "' and '" + type_name(b) + "'");
}

}  // namespace shoal::jinja
