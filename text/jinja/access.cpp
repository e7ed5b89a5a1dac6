// Subscripts: object.name, object[key] and object[start:stop:step].
#include <algorithm>

#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

std::string described(const Value& value) { return value.is_none() ? "None" : type_name(value) + " object"; }

Value missing_attribute(const Value& object, const std::string& name) {
  return Value::undefined("'" + described(object) + "' has no attribute '" + name + "'");
}

void refuse_undefined(const Value& object) {
  if (object.is_undefined()) throw_error(object.why_undefined());
}

// Methods and attributes, without the items.
std::optional<Value> own_attribute(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_object()) return object.object()->attribute(runtime, name);
  if (object.is_sequence() && object.sequence().kind == SequenceKind::Group) {
    if (name == "grouper") return object.sequence().items[0];
    if (name == "list") return object.sequence().items[1];
  }
  return method_of(object, name);
}

Value element(const Value& object, std::int64_t length, std::int64_t index) {
  if (index < 0) index += length;
  if (index < 0 || index >= length)
    return Value::undefined(described(object) + " has no element " + std::to_string(index));
  if (object.is_range()) return object.range().at(index);
  return object.sequence().items[static_cast<std::size_t>(index)];
}

Value character(Runtime& runtime, const Value& object, std::int64_t index) {
  const std::string& text = object.string();
  runtime.budget().touch(text.size());
  const std::vector<std::size_t> offsets = code_point_offsets(text);
  const auto length = static_cast<std::int64_t>(offsets.size()) - 1;
  if (index < 0) index += length;
  if (index < 0 || index >= length)
    return Value::undefined("str object has no element " + std::to_string(index));
  const auto i = static_cast<std::size_t>(index);
  return Value(text.substr(offsets[i], offsets[i + 1] - offsets[i]));
}

bool is_view(const Value& value) { return value.is_sequence() && !value.is_list() && !value.is_tuple(); }

// The item, or nullopt where Python raises a LookupError or TypeError.
std::optional<Value> own_item(Runtime& runtime, const Value& object, const Value& key) {
  if (object.is_dict()) {
    const bool is_hashable = !key.is_list() && !key.is_dict() && !is_view(key);
    const Value* value = is_hashable ? object.dict().find(key) : nullptr;
    return value == nullptr ? std::nullopt : std::optional<Value>(*value);
  }
  if (!key.is_integral()) return std::nullopt;
  if (object.is_string()) return character(runtime, object, key.integer());
  if (object.is_range()) return element(object, object.range().size(), key.integer());
  if (!object.is_sequence() || is_view(object)) return std::nullopt;
  return element(object, static_cast<std::int64_t>(object.sequence().items.size()), key.integer());
}

// A slice's bounds over `length` items, as Python's slice.indices() gives them.
struct SliceIndices {
  std::int64_t start, count, step;
};

bool is_slice_part(const Value& value) { return value.is_none() || value.is_integral(); }

std::int64_t bounded(const Value& part, std::int64_t fallback, std::int64_t low, std::int64_t high,
                     std::int64_t length) {
  if (part.is_none()) return fallback;
  const std::int64_t at = part.integer();
  return at < 0 ? std::max(at < -length ? low : at + length, low) : std::min(at, high);
}

SliceIndices slice_indices(const Value& start, const Value& stop, const Value& step, std::int64_t length) {
  const std::int64_t raw_step = step.is_none() ? 1 : step.integer();
  if (raw_step == 0) throw_error("slice step cannot be zero");
  const std::int64_t stride = std::clamp<std::int64_t>(raw_step, -length - 1, length + 1);
  const std::int64_t low = stride < 0 ? -1 : 0;
  const std::int64_t high = stride < 0 ? length - 1 : length;
  const std::int64_t first = bounded(start, stride < 0 ? high : low, low, high, length);
  const std::int64_t last = bounded(stop, stride < 0 ? low : high, low, high, length);
  return {first, Range{first, last, stride}.size(), stride};
}

Value sliced_text(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                  const Value& step) {
  const std::string& text = object.string();
  runtime.budget().touch(text.size());
  const std::vector<std::size_t> offsets = code_point_offsets(text);
  const SliceIndices slice = slice_indices(start, stop, step, static_cast<std::int64_t>(offsets.size()) - 1);
  std::string out;
  for (std::int64_t i = 0; i < slice.count; ++i) {
    const auto at = static_cast<std::size_t>(slice.start + i * slice.step);
    out.append(text, offsets[at], offsets[at + 1] - offsets[at]);
  }
  return object.is_markup() ? Value::markup(std::move(out)) : runtime.text(std::move(out));
}

Value sliced_items(Runtime& runtime, const Value& object, const SliceIndices& slice) {
  const List& items = object.sequence().items;
  List out;
  runtime.budget().touch(static_cast<std::size_t>(slice.count) * sizeof(Value));
  for (std::int64_t i = 0; i < slice.count; ++i) {
    out.push_back(items[static_cast<std::size_t>(slice.start + i * slice.step)]);
  }
  return object.is_list() ? Value::list(std::move(out)) : Value::tuple(std::move(out));
}

}  // namespace

Value attribute_of(Runtime& runtime, const Value& object, const std::string& name) {
  refuse_undefined(object);
  if (!name.starts_with('_')) {
    if (std::optional<Value> value = own_attribute(runtime, object, name)) return *std::move(value);
  }
  if (object.is_dict()) {
    if (const Value* value = object.dict().find(name)) return *value;
  }
  return missing_attribute(object, name);
}

Value item_of(Runtime& runtime, const Value& object, const Value& key) {
  refuse_undefined(object);
  if (std::optional<Value> value = own_item(runtime, object, key)) return *std::move(value);
  if (!key.is_string()) return Value::undefined(described(object) + " has no such element");
  if (!key.string().starts_with('_')) {
    if (std::optional<Value> value = own_attribute(runtime, object, key.string())) return *std::move(value);
  }
  return missing_attribute(object, key.string());
}

Value slice_of(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
               const Value& step) {
  refuse_undefined(object);
  const bool can_slice =
      object.is_string() || object.is_range() || (object.is_sequence() && !is_view(object));
  if (!can_slice || !is_slice_part(start) || !is_slice_part(stop) || !is_slice_part(step)) {
    throw_error("'" + type_name(object) + "' object cannot be sliced so");
  }
  if (object.is_string()) return sliced_text(runtime, object, start, stop, step);
  const SliceIndices slice = slice_indices(start, stop, step, length_of(object, runtime.budget()));
  if (!object.is_range()) return sliced_items(runtime, object, slice);
  const Range& range = object.range();
  if (slice.count == 0) return Range{0, 0, 1};
  const std::int64_t first = range.at(slice.start);
  std::int64_t stride = 0, span = 0, last = 0;
  const bool overflows = __builtin_mul_overflow(range.step, slice.step, &stride) ||
                         __builtin_mul_overflow(slice.count, stride, &span) ||
                         __builtin_add_overflow(first, span, &last);
  if (overflows) throw_error("a whole number does not fit 64 bits");
  return Range{first, last, stride};
}

}  // namespace shoal::jinja
