#include "text/jinja/print.h"

#include <charconv>
#include <cmath>
#include <cstdio>

#include "text/jinja/object.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

void append_escape(std::string& out, char32_t c) {
  char text[12];
  const auto value = static_cast<unsigned>(c);
  std::snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", value);
  out += text;
}

void append_repr_char(std::string& out, char32_t c, char quote) {
  switch (c) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\\':
      out += "\\\\";
      return;
    default:
      break;
  }
  if (c == static_cast<char32_t>(quote)) {
    out += '\\';
    out += quote;
  } else if (is_printable(c)) {
    append_utf8(out, c);
  } else {
    append_escape(out, c);
  }
}

std::string string_repr(std::string_view text) {
  const bool has_single = text.find('\'') != text.npos;
  const char quote = has_single && text.find('"') == text.npos ? '"' : '\'';
  std::string out(1, quote);
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    append_repr_char(out, c.value, quote);
    text.remove_prefix(c.num_bytes);
  }
  return out += quote;
}

void append_items_repr(std::string& out, const List& items, Budget& budget) {
  const char* separator = "";
  for (const Value& item : items) {
    budget.append(out, separator);
    append_repr_of(out, item, budget);
    separator = ", ";
  }
}

void append_sequence_repr(std::string& out, const Value& value, Budget& budget) {
  const List& items = value.sequence().items;
  const bool is_view = !value.is_list() && !value.is_tuple();
  if (is_view) budget.append(out, type_name(value) + "(");
  budget.append(out, value.is_tuple() ? "(" : "[");
  append_items_repr(out, items, budget);
  if (value.is_tuple() && items.size() == 1) budget.append(out, ",");
  budget.append(out, value.is_tuple() ? ")" : "]");
  if (is_view) budget.append(out, ")");
}

void append_dict_repr(std::string& out, const Dict& dict, Budget& budget) {
  budget.append(out, "{");
  const char* separator = "";
  for (const auto& [key, value] : dict.entries()) {
    budget.append(out, separator);
    append_repr_of(out, key, budget);
    budget.append(out, ": ");
    append_repr_of(out, value, budget);
    separator = ", ";
  }
  budget.append(out, "}");
}

std::string range_repr(const Range& range) {
  std::string out = "range(" + std::to_string(range.start) + ", " + std::to_string(range.stop);
  if (range.step != 1) out += ", " + std::to_string(range.step);
  return out + ")";
}

}  // namespace

std::string float_repr(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific).ptr;
  std::string scientific(buffer, end);
  const std::size_t e = scientific.find('e');
  const int exponent = std::stoi(scientific.substr(e + 1));
  if (exponent < -4 || exponent >= 16) return scientific;
  const std::string sign = scientific[0] == '-' ? "-" : "";
  std::string digits = scientific.substr(sign.size(), e - sign.size());
  if (digits.size() > 1) digits.erase(1, 1);  // the point
  if (exponent < 0) return sign + "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) return sign + digits + std::string(whole - digits.size(), '0') + ".0";
  return sign + digits.substr(0, whole) + "." + digits.substr(whole);
}

void append_str_of(std::string& out, const Value& value, Budget& budget) {
  if (value.is_undefined()) return;
  value.is_string() ? budget.append(out, value.string()) : append_repr_of(out, value, budget);
}

void append_repr_of(std::string& out, const Value& value, Budget& budget) {
  budget.step();
  if (value.is_string()) {
    budget.touch(value.string().size());
    const std::string text = string_repr(value.string());
    budget.append(out, value.is_markup() ? "Markup(" + text + ")" : text);
  } else if (value.is_sequence()) {
    append_sequence_repr(out, value, budget);
  } else if (value.is_dict()) {
    append_dict_repr(out, value.dict(), budget);
  } else if (value.is_object()) {
    value.object()->append_repr(out, budget);
  } else if (value.is_bool()) {
    budget.append(out, value.flag() ? "True" : "False");
  } else if (value.is_int()) {
    budget.append(out, std::to_string(value.integer()));
  } else if (value.is_float()) {
    budget.append(out, float_repr(value.number()));
  } else if (value.is_range()) {
    budget.append(out, range_repr(value.range()));
  } else {
    budget.append(out, value.is_none() ? "None" : "Undefined");
  }
}

std::string html_escaped(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace shoal::jinja
