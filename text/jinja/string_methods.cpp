#include <algorithm>
#include <array>

#include "text/jinja/methods.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

// A str value, markup when `self` is.
Value like(Runtime& runtime, const Value& self, std::string text) {
  Value value = runtime.text(std::move(text));
  return self.is_markup() ? Value::markup(value.string()) : value;
}

template <std::string (*Map)(std::string_view)>
Value mapped(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("the string's method", std::move(arguments), {});
  return like(runtime, self, Map(self.string()));
}

std::string titled(std::string_view text) {
  std::string out;
  bool after_letter = false;
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    append_utf8(out, after_letter ? to_lower(c.value) : to_upper(c.value));
    after_letter = is_letter(c.value);
    text.remove_prefix(c.num_bytes);
  }
  return out;
}

std::string case_swapped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    append_utf8(out, is_upper(c.value) ? to_lower(c.value) : to_upper(c.value));
    text.remove_prefix(c.num_bytes);
  }
  return out;
}

template <bool Left, bool Right>
Value strip(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("strip", std::move(arguments), {"chars"});
  const bool has_chars = p.has(0) && !p.required(0).is_none();
  std::string_view text = self.string();
  if (has_chars) runtime.budget().step(text.size() * p.string(0).size() >> 12);
  if (Left) text = has_chars ? strip_left(text, p.string(0)) : strip_left(text);
  if (Right) text = has_chars ? strip_right(text, p.string(0)) : strip_right(text);
  return like(runtime, self, std::string(text));
}

// --- split

std::vector<std::string_view> split_at_space(std::string_view text, std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  for (text = strip_left(text); !text.empty(); text = strip_left(text)) {
    if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) >= max_splits) {
      parts.push_back(text);
      break;
    }
    std::size_t end = 0;
    while (end < text.size()) {
      const CodePoint c = first_code_point(text.substr(end));
      if (is_space(c.value)) break;
      end += c.num_bytes;
    }
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return parts;
}

std::vector<std::string_view> split_at_space_from_right(std::string_view text, std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  for (text = strip_right(text); !text.empty(); text = strip_right(text)) {
    if (max_splits >= 0 && static_cast<std::int64_t>(parts.size()) >= max_splits) {
      parts.push_back(text);
      break;
    }
    std::size_t start = text.size();
    while (start > 0) {
      const CodePoint c = last_code_point(text.substr(0, start));
      if (is_space(c.value)) break;
      start -= c.num_bytes;
    }
    parts.push_back(text.substr(start));
    text = text.substr(0, start);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  std::size_t start = 0;
  while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
    const std::size_t found = find_text(text, separator, start);
    if (found == text.npos) break;
    parts.push_back(text.substr(start, found - start));
    start = found + separator.size();
  }
  parts.push_back(text.substr(start));
  return parts;
}

// As split_at, counting the splits from the right: the text and the separator are turned round.
std::vector<std::string_view> split_at_from_right(std::string_view text, std::string_view separator,
                                                  std::int64_t max_splits) {
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_separator(separator.rbegin(), separator.rend());
  std::vector<std::string_view> parts;
  std::size_t end = text.size();
  for (const std::string_view part : split_at(reversed_text, reversed_separator, max_splits)) {
    parts.push_back(text.substr(end - part.size(), part.size()));
    end -= part.size() + std::min(end - part.size(), separator.size());
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool FromRight>
Value split(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("split", std::move(arguments), {"sep", "maxsplit"});
  const std::int64_t max_splits = p.integer(1, -1);
  const std::string_view text = self.string();
  runtime.budget().touch(text.size());
  std::vector<std::string_view> parts;
  if (!p.has(0) || p.required(0).is_none()) {
    parts = FromRight ? split_at_space_from_right(text, max_splits) : split_at_space(text, max_splits);
  } else {
    if (p.string(0).empty()) throw_error("split(): empty separator");
    parts = FromRight ? split_at_from_right(text, p.string(0), max_splits)
                      : split_at(text, p.string(0), max_splits);
  }
  runtime.budget().step(parts.size());
  List items;
  for (const std::string_view part : parts) items.push_back(like(runtime, self, std::string(part)));
  return runtime.list(std::move(items));
}

Value splitlines(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("splitlines", std::move(arguments), {"keepends"});
  runtime.budget().touch(self.string().size());
  List items;
  for (const std::string_view line : split_lines(self.string(), p.flag(0, false))) {
    runtime.budget().step();
    items.push_back(runtime.text(std::string(line)));
  }
  return runtime.list(std::move(items));
}

template <bool FromRight>
Value partition(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("partition", std::move(arguments), {"sep"});
  const std::string& text = self.string();
  const std::string& separator = p.string(0);
  if (separator.empty()) throw_error("partition(): empty separator");
  const std::size_t found = FromRight ? find_last_text(text, separator) : find_text(text, separator);
  if (found == std::string::npos) {
    return FromRight ? Value::tuple({Value(""), Value(""), self})
                     : Value::tuple({self, Value(""), Value("")});
  }
  return Value::tuple({runtime.text(text.substr(0, found)), p.required(0),
                       runtime.text(text.substr(found + separator.size()))});
}

Value join(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("join", std::move(arguments), {"iterable"});
  std::string out;
  bool is_first = true;
  for (const Value& item : items_of(p.required(0), runtime.budget())) {
    if (!item.is_string()) throw_error("join(): expected str, found " + type_name(item));
    if (!is_first) runtime.budget().append(out, self.string());
    runtime.budget().append(out, item.string());
    is_first = false;
  }
  return like(runtime, self, std::move(out));
}

Value replace(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("replace", std::move(arguments), {"old", "new", "count"});
  return like(runtime, self, replaced(runtime, self.string(), p.string(0), p.string(1), p.integer(2, -1)));
}

// --- search

// The part of the text between the code points start and end, as find(sub, start, end) takes them.
struct Window {
  std::string_view text;
  std::size_t first_code_point;
  bool is_beyond;  // it starts behind the end: nothing is found there, not even ""
};

Window window_of(Runtime& runtime, const std::string& text, const Parameters& p) {
  runtime.budget().touch(text.size());
  if (!p.has(1) && !p.has(2)) return {text, 0, false};
  const std::vector<std::size_t> offsets = code_point_offsets(text);
  const auto length = static_cast<std::int64_t>(offsets.size()) - 1;
  const auto bound = [&](std::size_t i, std::int64_t fallback) {
    if (!p.has(i) || p.required(i).is_none()) return fallback;
    const std::int64_t at = p.integer(i);
    return at < 0 ? std::max<std::int64_t>(at < -length ? 0 : at + length, 0) : at;
  };
  const std::int64_t start = bound(1, 0);
  const std::int64_t end = std::min(bound(2, length), length);
  if (start > end) return {{}, 0, true};
  const std::size_t first = offsets[static_cast<std::size_t>(start)];
  return {std::string_view(text).substr(first, offsets[static_cast<std::size_t>(end)] - first),
          static_cast<std::size_t>(start), false};
}

template <bool FromRight, bool MustFind>
Value find(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("find", std::move(arguments), {"sub", "start", "end"});
  const Window window = window_of(runtime, self.string(), p);
  const std::size_t found = window.is_beyond ? std::string_view::npos
                            : FromRight      ? find_last_text(window.text, p.string(0))
                                             : find_text(window.text, p.string(0));
  if (found != std::string_view::npos) {
    return static_cast<std::int64_t>(window.first_code_point +
                                     count_code_points(window.text.substr(0, found)));
  }
  if (MustFind) throw_error("index(): substring not found");
  return -1;
}

Value count(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("count", std::move(arguments), {"sub", "start", "end"});
  const Window window = window_of(runtime, self.string(), p);
  if (window.is_beyond) return 0;
  if (p.string(0).empty()) return static_cast<std::int64_t>(count_code_points(window.text)) + 1;
  return static_cast<std::int64_t>(split_at(window.text, p.string(0), -1).size()) - 1;
}

template <bool AtEnd>
Value starts_or_ends(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p(AtEnd ? "endswith" : "startswith", std::move(arguments), {"prefix", "start", "end"});
  const Window window = window_of(runtime, self.string(), p);
  const auto matches = [&](const Value& part) {
    if (!part.is_string()) throw_error("startswith() and endswith() want a str or a tuple of str");
    return AtEnd ? window.text.ends_with(part.string()) : window.text.starts_with(part.string());
  };
  if (window.is_beyond) return false;
  if (!p.required(0).is_tuple()) return matches(p.required(0));
  const List& parts = p.required(0).sequence().items;
  return std::any_of(parts.begin(), parts.end(), matches);
}

template <bool AtEnd>
Value remove_affix(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("removeprefix", std::move(arguments), {"affix"});
  std::string_view text = self.string();
  const std::string& affix = p.string(0);
  if (AtEnd ? text.ends_with(affix) : text.starts_with(affix)) {
    AtEnd ? text.remove_suffix(affix.size()) : text.remove_prefix(affix.size());
  }
  return like(runtime, self, std::string(text));
}

// --- classification

template <bool (*Is)(char32_t)>
Value all_are(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("the string's test", std::move(arguments), {});
  std::string_view text = self.string();
  runtime.budget().touch(text.size());
  if (text.empty()) return false;
  for (; !text.empty(); text.remove_prefix(first_code_point(text).num_bytes)) {
    if (!Is(first_code_point(text).value)) return false;
  }
  return true;
}

bool is_letter_or_digit(char32_t c) { return is_letter(c) || is_digit(c); }

template <bool WantsUpper>
Value has_case(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters none("the string's test", std::move(arguments), {});
  runtime.budget().touch(self.string().size());
  return is_all_cased(self.string(), WantsUpper);
}

// --- padding

template <bool Left, bool Right>
Value justify(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("ljust", std::move(arguments), {"width", "fillchar"});
  const std::string fill = p.has(1) ? p.string(1) : " ";
  if (count_code_points(fill) != 1) throw_error("the fill character must be exactly one character long");
  return like(runtime, self, justified(runtime, self.string(), p.integer(0), fill, Left, Right));
}

Value zfill(Runtime& runtime, const Value& self, Arguments arguments) {
  const Parameters p("zfill", std::move(arguments), {"width"});
  const std::string& text = self.string();
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  const auto width = p.integer(0) - static_cast<std::int64_t>(sign);
  return runtime.text(text.substr(0, sign) + justified(runtime, text.substr(sign), width, "0", true, false));
}

Value format(Runtime& runtime, const Value& self, Arguments arguments) {
  return runtime.text(brace_formatted(runtime, self.string(), arguments));
}

constexpr std::array kMethods = std::to_array<Method>({
    {"capitalize", mapped<capitalized>},
    {"casefold", mapped<lower>},
    {"center", justify<true, true>},
    {"count", count},
    {"endswith", starts_or_ends<true>},
    {"find", find<false, false>},
    {"format", format},
    {"index", find<false, true>},
    {"isalnum", all_are<is_letter_or_digit>},
    {"isalpha", all_are<is_letter>},
    {"isdecimal", all_are<is_digit>},
    {"isdigit", all_are<is_digit>},
    {"islower", has_case<false>},
    {"isnumeric", all_are<is_digit>},
    {"isspace", all_are<is_space>},
    {"isupper", has_case<true>},
    {"join", join},
    {"ljust", justify<false, true>},
    {"lower", mapped<lower>},
    {"lstrip", strip<true, false>},
    {"partition", partition<false>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"replace", replace},
    {"rfind", find<true, false>},
    {"rindex", find<true, true>},
    {"rjust", justify<true, false>},
    {"rpartition", partition<true>},
    {"rsplit", split<true>},
    {"rstrip", strip<false, true>},
    {"split", split<false>},
    {"splitlines", splitlines},
    {"startswith", starts_or_ends<false>},
    {"strip", strip<true, true>},
    {"swapcase", mapped<case_swapped>},
    {"title", mapped<titled>},
    {"upper", mapped<upper>},
    {"zfill", zfill},
});

}  // namespace

std::span<const Method> string_methods() { return kMethods; }

}  // namespace shoal::jinja
