#include <algorithm>
#include <array>
#include <unordered_set>

#include "text/jinja/filter_tables.h"
#include "text/jinja/literals.h"
#include "text/jinja/operators.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

// --- map, select, reject

// Takes a named argument out; none when it is absent.
Value take_named(Arguments& arguments, const std::string& name) {
  const auto found = std::find_if(arguments.named.begin(), arguments.named.end(),
                                  [&](const auto& named) { return named.first == name; });
  if (found == arguments.named.end()) return Value::none();
  Value value = std::move(found->second);
  arguments.named.erase(found);
  return value;
}

std::string take_first_name(Arguments& arguments, const char* what) {
  if (arguments.positional.empty()) throw_error(std::string(what) + " is missing");
  const Value name = arguments.positional[0];
  if (!name.is_string()) throw_error(std::string(what) + " must be a str, not " + type_name(name));
  arguments.positional.erase(arguments.positional.begin());
  return name.string();
}

// The attribute's path of map(attribute=...), which takes no filter; nullopt for map('filter', ...).
std::optional<AttributePath> mapped_path(Arguments& arguments) {
  const Value attribute = arguments.positional.empty() ? take_named(arguments, "attribute") : Value::none();
  if (attribute.is_none()) return std::nullopt;
  return AttributePath(attribute);
}

Value map(Runtime& runtime, const Value& input, Arguments arguments) {
  return Iterator::generator([&](List& out) {
    if (!is_truthy(input)) return;
    const std::optional<AttributePath> path = mapped_path(arguments);
    const Value fallback = path ? take_named(arguments, "default") : Value::none();
    if (path && !arguments.named.empty())
      throw_error("map: unexpected argument '" + arguments.named[0].first + "'");
    const std::string filter = path ? "" : take_first_name(arguments, "map: the filter's name");
    for (const Value& item : items_of(input, runtime.budget())) {
      out.push_back(path ? path->get_or(runtime, item, fallback) : runtime.filter(filter, item, arguments));
    }
  });
}

template <bool ByAttribute, bool Keeps>
Value select(Runtime& runtime, const Value& input, Arguments arguments) {
  return Iterator::generator([&](List& out) {
    if (!is_truthy(input)) return;
    if (ByAttribute && arguments.positional.empty())
      throw_error("selectattr: the attribute's name is missing");
    const AttributePath path(ByAttribute ? arguments.positional[0] : Value::none());
    if (ByAttribute) arguments.positional.erase(arguments.positional.begin());
    const bool has_test = !arguments.positional.empty();
    const std::string test = has_test ? take_first_name(arguments, "select: the test's name") : "";
    for (const Value& item : items_of(input, runtime.budget())) {
      const Value value = path.get(runtime, item);
      const bool holds = has_test ? runtime.test(test, value, arguments) : is_truthy(value);
      if (holds == Keeps) out.push_back(item);
    }
  });
}

// --- order

struct Keyed {
  Value key, item;
};

// Equal keys keep their order, also when reversed.
void sort_by_key(Runtime& runtime, std::vector<Keyed>& keyed, bool is_reversed) {
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return is_reversed ? is_less(b.key, a.key, runtime.budget()) : is_less(a.key, b.key, runtime.budget());
  });
}

// "a,b.c": several paths; their values make a tuple to compare.
std::vector<AttributePath> attribute_paths(const Value& attribute) {
  std::vector<AttributePath> paths;
  if (!attribute.is_string()) return {AttributePath(attribute)};
  std::string_view rest = attribute.string();
  while (true) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    paths.emplace_back(Value(rest.substr(0, comma)));
    if (comma == rest.size()) return paths;
    rest.remove_prefix(comma + 1);
  }
}

Value sort(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("sort", std::move(arguments), {"reverse", "case_sensitive", "attribute"});
  const std::vector<AttributePath> paths = attribute_paths(p.optional(2, Value::none()));
  const bool ignores_case = !p.flag(1, false);
  std::vector<Keyed> keyed;
  for (const Value& item : items_of(input, runtime.budget())) {
    List key;
    for (const AttributePath& path : paths) {
      const Value value = path.get(runtime, item);
      key.push_back(ignores_case ? without_case(value) : value);
    }
    keyed.push_back({Value::list(std::move(key)), item});
  }
  sort_by_key(runtime, keyed, p.flag(0, false));
  List out;
  for (Keyed& entry : keyed) out.push_back(std::move(entry.item));
  return runtime.list(std::move(out));
}

Value dictsort(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"});
  if (input.is_undefined()) throw_error(input.why_undefined());
  if (!input.is_dict()) throw_error("dictsort: expected a dict, got " + type_name(input));
  const std::string by = p.has(1) ? p.string(1) : "key";
  if (by != "key" && by != "value") throw_error("dictsort: by is \"key\" or \"value\"");
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : input.dict().entries()) {
    const Value& compared = by == "key" ? key : value;
    keyed.push_back({p.flag(0, false) ? compared : without_case(compared), Value::tuple({key, value})});
  }
  sort_by_key(runtime, keyed, p.flag(2, false));
  List out;
  for (Keyed& entry : keyed) out.push_back(std::move(entry.item));
  return runtime.list(std::move(out));
}

template <bool WantsLargest>
Value extreme(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p(WantsLargest ? "max" : "min", std::move(arguments), {"case_sensitive", "attribute"});
  const AttributePath path(p.optional(1, Value::none()));
  const bool ignores_case = !p.flag(0, false);
  std::optional<Keyed> best;
  for (const Value& item : items_of(input, runtime.budget())) {
    Value key = path.get(runtime, item);
    if (ignores_case) key = without_case(key);
    const bool is_better = !best || (WantsLargest ? is_less(best->key, key, runtime.budget())
                                                  : is_less(key, best->key, runtime.budget()));
    if (is_better) best = Keyed{std::move(key), item};
  }
  return best ? best->item : Value::undefined("No aggregated item, sequence was empty.");
}

Value unique(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("unique", std::move(arguments), {"case_sensitive", "attribute"});
  const AttributePath path(p.optional(1, Value::none()));
  const bool ignores_case = !p.flag(0, false);
  return Iterator::generator([&](List& out) {
    std::unordered_set<std::string> seen;
    for (const Value& item : items_of(input, runtime.budget())) {
      const Value key = path.get(runtime, item);
      std::string hashed = hash_key(ignores_case ? without_case(key) : key);
      runtime.budget().touch(hashed.size());
      if (seen.insert(std::move(hashed)).second) out.push_back(item);
    }
  });
}

Value groupby(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("groupby", std::move(arguments), {"attribute", "default", "case_sensitive"});
  const AttributePath path(p.required(0));
  const Value fallback = p.optional(1, Value::none());
  const bool ignores_case = !p.flag(2, false);
  std::vector<Keyed> keyed;
  for (const Value& item : items_of(input, runtime.budget())) {
    const Value key = path.get_or(runtime, item, fallback);
    keyed.push_back({ignores_case ? without_case(key) : key, item});
  }
  sort_by_key(runtime, keyed, /*is_reversed=*/false);
  List groups;
  for (std::size_t start = 0, end = 0; start < keyed.size(); start = end) {
    List members;
    for (; end < keyed.size() && is_equal(keyed[end].key, keyed[start].key, runtime.budget()); ++end) {
      members.push_back(keyed[end].item);
    }
    if (members.empty()) members.push_back(keyed[end++].item);  // a key unequal to itself: nan
    const Value name = path.get_or(runtime, members[0], fallback);
    groups.push_back(Value::sequence(SequenceKind::Group, {name, runtime.list(std::move(members))}));
  }
  return runtime.list(std::move(groups));
}

constexpr std::array kFilters = std::to_array<Method>({
    {"dictsort", dictsort},
    {"groupby", groupby},
    {"map", map},
    {"max", extreme<true>},
    {"min", extreme<false>},
    {"reject", select<false, false>},
    {"rejectattr", select<true, false>},
    {"select", select<false, true>},
    {"selectattr", select<true, true>},
    {"sort", sort},
    {"unique", unique},
});

}  // namespace

std::span<const Method> selection_filters() { return kFilters; }

AttributePath::AttributePath(const Value& path) {
  if (path.is_none()) return;
  if (!path.is_string()) {
    parts_.push_back(path);
    return;
  }
  std::string_view rest = path.string();
  while (true) {
    const std::size_t point = std::min(rest.find('.'), rest.size());
    const std::string_view part = rest.substr(0, point);
    const bool is_index =
        !part.empty() && std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
    const std::optional<std::int64_t> index = is_index ? parse_integer(part) : std::nullopt;
    parts_.push_back(index ? Value(*index) : Value(part));
    if (point == rest.size()) return;
    rest.remove_prefix(point + 1);
  }
}

Value AttributePath::get(Runtime& runtime, Value item) const {
  return get_or(runtime, std::move(item), Value::none());
}

Value AttributePath::get_or(Runtime& runtime, Value item, const Value& fallback) const {
  for (const Value& part : parts_) {
    runtime.budget().step();
    item = item_of(runtime, item, part);
    if (item.is_undefined() && !fallback.is_none()) item = fallback;
  }
  return item;
}

Value without_case(const Value& value) { return value.is_string() ? Value(lower(value.string())) : value; }

}  // namespace shoal::jinja
