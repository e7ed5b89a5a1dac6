#include <algorithm>
#include <array>

#include "text/jinja/filter_tables.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

Value like(Runtime& runtime, const Value& input, std::string text) {
  Value value = runtime.text(std::move(text));
  return input.is_markup() ? Value::markup(value.string()) : value;
}

template <std::string (*Map)(std::string_view)>
Value mapped(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("the filter", std::move(arguments), {});
  return like(runtime, input, Map(runtime.str(input)));
}

// Words start behind white space, hyphens and opening brackets.
std::string titled(std::string_view text) {
  std::string out;
  bool starts_word = true;
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    append_utf8(out, starts_word ? to_upper(c.value) : to_lower(c.value));
    starts_word = is_space(c.value) ||
                  (c.value < 0x80 && std::string_view("-({[<").find(static_cast<char>(c.value)) != text.npos);
    text.remove_prefix(c.num_bytes);
  }
  return out;
}

Value trim(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("trim", std::move(arguments), {"chars"});
  const std::string text = runtime.str(input);
  if (!p.has(0) || p.required(0).is_none())
    return like(runtime, input, std::string(strip_left(strip_right(text))));
  runtime.budget().step(text.size() * p.string(0).size() >> 12);
  return like(runtime, input, std::string(strip_left(strip_right(text, p.string(0)), p.string(0))));
}

Value replace(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("replace", std::move(arguments), {"old", "new", "count"});
  const std::int64_t count = p.has(2) && !p.required(2).is_none() ? p.integer(2) : -1;
  const std::string old = runtime.str(p.required(0));
  return runtime.text(replaced(runtime, runtime.str(input), old, runtime.str(p.required(1)), count));
}

Value string(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("string", std::move(arguments), {});
  return input.is_string() ? input : runtime.text(runtime.str(input));
}

Value escape(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("escape", std::move(arguments), {});
  return input.is_markup() ? input : Value::markup(html_escaped(runtime.str(input)));
}

Value force_escape(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("forceescape", std::move(arguments), {});
  return Value::markup(html_escaped(runtime.str(input)));
}

Value safe(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("safe", std::move(arguments), {});
  return Value::markup(runtime.str(input));
}

Value indent(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("indent", std::move(arguments), {"width", "first", "blank"});
  if (!input.is_string()) throw_error("indent: expected a str, got " + type_name(input));
  const std::int64_t width = p.has(0) && !p.required(0).is_string() ? p.integer(0) : 4;
  const std::string indention = p.has(0) && p.required(0).is_string()
                                    ? p.string(0)
                                    : justified(runtime, "", width, " ", /*left=*/true, /*right=*/false);
  const bool indents_blank = p.flag(2, false);
  std::string out = p.flag(1, false) ? indention : "";
  bool is_first = true;
  const std::string text = input.string() + "\n";  // the last line end is forgotten again by the split
  for (const std::string_view line : split_lines(text)) {
    if (!is_first) runtime.budget().append(out, "\n");
    if (!is_first && (indents_blank || !line.empty())) runtime.budget().append(out, indention);
    runtime.budget().append(out, line);
    is_first = false;
  }
  return runtime.text(std::move(out));
}

Value truncate(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("truncate", std::move(arguments), {"length", "killwords", "end", "leeway"});
  const std::string end = p.has(2) ? p.string(2) : "...";
  const std::int64_t length = p.integer(0, 255);
  const std::int64_t leeway = p.has(3) && !p.required(3).is_none() ? p.integer(3) : 5;
  const auto end_length = static_cast<std::int64_t>(count_code_points(end));
  if (length < end_length || leeway < 0)
    throw_error("truncate: expected length >= that of the end, and leeway >= 0");
  const std::int64_t input_length = length_of(input, runtime.budget());
  if (input_length <= leeway || input_length - leeway <= length) return input;
  if (!input.is_string()) throw_error("truncate: expected a str, got " + type_name(input));
  const std::vector<std::size_t> offsets = code_point_offsets(input.string());
  std::string kept = input.string().substr(0, offsets[static_cast<std::size_t>(length - end_length)]);
  const std::size_t blank = p.flag(1, false) ? std::string::npos : kept.rfind(' ');
  if (blank != std::string::npos) kept.resize(blank);
  return runtime.text(kept + end);
}

Value center(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("center", std::move(arguments), {"width"});
  return runtime.text(justified(runtime, runtime.str(input), p.integer(0, 80), " ", true, true));
}

Value wordcount(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("wordcount", std::move(arguments), {});
  const std::string text = runtime.str(input);
  std::int64_t count = 0;
  bool in_word = false;
  for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(first_code_point(rest).num_bytes)) {
    const char32_t c = first_code_point(rest).value;
    const bool is_word = c == '_' || is_digit(c) || is_letter(c);
    count += is_word && !in_word ? 1 : 0;
    in_word = is_word;
  }
  return count;
}

Value format(Runtime& runtime, const Value& input, Arguments arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw_error("format: positional and named arguments cannot be mixed");
  }
  Dict named;
  for (auto& [name, value] : arguments.named) named.set(Value(name), value);
  const Value values = named.size() > 0 ? Value(named) : Value::tuple(std::move(arguments.positional));
  return runtime.text(printf_formatted(runtime, runtime.str(input), values));
}

// --- urlencode

void append_quoted(std::string& out, const std::string& text, bool is_query) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = byte < 0x80 && (is_letter(byte) || is_digit(byte) ||
                                          std::string_view("_.-~").find(c) != std::string_view::npos);
    if (is_plain || (c == '/' && !is_query)) {
      out += c;
    } else if (c == ' ' && is_query) {
      out += '+';
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
  }
}

Value urlencode(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters none("urlencode", std::move(arguments), {});
  std::string out;
  if (input.is_string() || !is_iterable(input)) {
    append_quoted(out, runtime.str(input), /*is_query=*/false);
    return runtime.text(std::move(out));
  }
  const Value pairs = input.is_dict() ? runtime.call(*method_of(input, "items"), {}) : input;
  for (const Value& pair : items_of(pairs, runtime.budget())) {
    const List parts = items_of(pair, runtime.budget());
    if (parts.size() != 2) throw_error("urlencode: expected pairs");
    if (!out.empty()) out += '&';
    append_quoted(out, runtime.str(parts[0]), /*is_query=*/true);
    out += '=';
    append_quoted(out, runtime.str(parts[1]), /*is_query=*/true);
  }
  return runtime.text(std::move(out));
}

// --- tojson, as transformers overrides it

std::string separator_at(const Value& separators, std::size_t i) {
  const bool is_pair =
      (separators.is_list() || separators.is_tuple()) && separators.sequence().items.size() == 2;
  if (!is_pair || !separators.sequence().items[i].is_string())
    throw_error("tojson: separators are two strings");
  return separators.sequence().items[i].string();
}

Value tojson(Runtime& runtime, const Value& input, Arguments arguments) {
  const Parameters p("tojson", std::move(arguments), {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = p.flag(0, false);
  style.sort_keys = p.flag(3, false);
  if (p.has(1) && !p.required(1).is_none()) {
    style.indent =
        p.required(1).is_string() ? p.string(1) : justified(runtime, "", p.integer(1), " ", true, false);
    style.item_separator = ",";
  }
  if (p.has(2) && !p.required(2).is_none()) {
    style.item_separator = separator_at(p.required(2), 0);
    style.key_separator = separator_at(p.required(2), 1);
  }
  std::string out;
  append_json(out, input, style, runtime.budget());
  return Value(std::move(out));
}

constexpr std::array kFilters = std::to_array<Method>({
    {"capitalize", mapped<capitalized>},
    {"center", center},
    {"e", escape},
    {"escape", escape},
    {"forceescape", force_escape},
    {"format", format},
    {"indent", indent},
    {"lower", mapped<lower>},
    {"replace", replace},
    {"safe", safe},
    {"string", string},
    {"title", mapped<titled>},
    {"tojson", tojson},
    {"trim", trim},
    {"truncate", truncate},
    {"upper", mapped<upper>},
    {"urlencode", urlencode},
    {"wordcount", wordcount},
});

}  // namespace

std::span<const Method> text_filters() { return kFilters; }

}  // namespace shoal::jinja
