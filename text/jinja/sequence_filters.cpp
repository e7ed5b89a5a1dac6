#include <algorithm>
#include <array>

#include "text/jinja/filter_tables.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

Value length(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("length", std::move(arguments), {});
  return length_of(input, runtime.budget());
}

Value first(Runtime&, const Value& input, Arguments arguments) {
  const Parameters none("first", std::move(arguments), {});
  std::optional<Value> item = Cursor(input).next();
  return item ? *std::move(item) : Value::undefined("No first item, sequence was empty.");
}

void refuse_one_way(const Value& input, const char* filter) {
  const bool is_one_way = !is_iterable(input) || input.is_object();
  if (is_one_way) throw_error(std::string(filter) + ": a " + type_name(input) + " cannot be read backwards");
}

Value last(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("last", std::move(arguments), {});
  refuse_one_way(input, "last");
  if (input.is_string()) {
    if (input.string().empty()) return Value::undefined("No last item, sequence was empty.");
    const std::string& text = input.string();
    return Value(text.substr(text.size() - last_code_point(text).num_bytes));
  }
  List items = items_of(input, runtime.budget());
  return items.empty() ? Value::undefined("No last item, sequence was empty.") : items.back();
}

Value reverse(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("reverse", std::move(arguments), {});
  if (input.is_string()) return slice_of(runtime, input, Value::none(), Value::none(), Value(-1));
  List items = items_of(input, runtime.budget());
  std::reverse(items.begin(), items.end());
  if (input.is_object()) return runtime.list(std::move(items));
  return Iterator::make(std::move(items), "reversed");
}

Value list(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("list", std::move(arguments), {});
  return runtime.list(items_of(input, runtime.budget()));
}

Value items(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("items", std::move(arguments), {});
  return Iterator::generator([&](List& out) {
    if (input.is_undefined()) return;
    if (!input.is_dict()) throw_error("items: can only get item pairs from a mapping");
    out = runtime.call(*method_of(input, "items"), {}).sequence().items;
  });
}

Value join(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("join", std::move(arguments), {"d", "attribute"});
  const std::string separator = p.has(0) ? runtime.str(p.required(0)) : "";
  const AttributePath path(p.optional(1, Value::none()));
  std::string out;
  bool is_first = true;
  for (const Value& item : items_of(input, runtime.budget())) {
    if (!is_first) runtime.budget().append(out, separator);
    append_str_of(out, path.get(runtime, item), runtime.budget());
    is_first = false;
  }
  return Value(std::move(out));
}

Value sum(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("sum", std::move(arguments), {"attribute", "start"});
  const AttributePath path(p.optional(0, Value::none()));
  Value total = p.optional(1, Value(0));
  if (total.is_string()) throw_error("sum: cannot sum strings");
  for (const Value& item : items_of(input, runtime.budget())) {
    total = arithmetic(runtime, ArithmeticOperator::Add, total, path.get(runtime, item));
  }
  return total;
}

Value batch(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("batch", std::move(arguments), {"linecount", "fill_with"});
  p.required(0);
  return Iterator::generator([&](List& lines) {
    const auto size = static_cast<std::size_t>(std::max<std::int64_t>(p.integer(0), 0));
    const bool fills = p.has(1) && !p.required(1).is_none();
    if (size > kMaxItems) throw_error("batch: too many items in a line");
    List line;
    for (const Value& item : items_of(input, runtime.budget())) {
      if (line.size() == size) lines.push_back(runtime.list(std::exchange(line, {})));
      line.push_back(item);
    }
    if (line.empty()) return;
    if (fills && line.size() < size) line.resize(size, p.required(1));
    lines.push_back(runtime.list(std::move(line)));
  });
}

Value slice(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("slice", std::move(arguments), {"slices", "fill_with"});
  p.required(0);
  return Iterator::generator([&](List& slices) {
    const List all = items_of(input, runtime.budget());
    const std::int64_t signed_count = p.integer(0);
    if (signed_count == 0) throw_error("slice: division by zero");
    if (signed_count > static_cast<std::int64_t>(kMaxItems)) throw_error("slice: too many slices");
    const auto count = static_cast<std::size_t>(std::max<std::int64_t>(signed_count, 0));
    const bool fills = p.has(1) && !p.required(1).is_none();
    std::size_t at = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const bool has_extra = i < all.size() % count;
      const std::size_t end = at + all.size() / count + (has_extra ? 1 : 0);
      List part(all.begin() + static_cast<std::ptrdiff_t>(at),
                all.begin() + static_cast<std::ptrdiff_t>(end));
      if (fills && !has_extra) part.push_back(p.required(1));
      runtime.budget().step();
      slices.push_back(runtime.list(std::move(part)));
      at = end;
    }
  });
}

Value fallback(Runtime&, const Value& input, Arguments arguments) {
  const Parameters p("default", std::move(arguments), {"default_value", "boolean"});
  const bool is_missing = input.is_undefined() || (p.flag(1, false) && !is_truthy(input));
  return is_missing ? p.optional(0, Value("")) : input;
}

Value attribute(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("attr", std::move(arguments), {"name"});
  const std::string& name = p.string(0);
  const bool is_item_only = input.is_dict() && !method_of(input, name);
  return is_item_only ? Value::undefined("'dict object' has no attribute '" + name + "'")
                      : attribute_of(runtime, input, name);
}

constexpr std::array kFilters = std::to_array<Method>({
    {"attr", attribute},
    {"batch", batch},
    {"count", length},
    {"d", fallback},
    {"default", fallback},
    {"first", first},
    {"items", items},
    {"join", join},
    {"last", last},
    {"length", length},
    {"list", list},
    {"reverse", reverse},
    {"slice", slice},
    {"sum", sum},
});

}  // namespace

std::span<const Method> sequence_filters() { return kFilters; }

}  // namespace shoal::jinja
