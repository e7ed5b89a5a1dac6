#pragma once

#include <optional>
#include <string>

#include "text/jinja/value.h"

namespace shoal::jinja {

// Python's str(value) and repr(value), appended.
void append_str_of(std::string& out, const Value& value, Budget& budget);
void append_repr_of(std::string& out, const Value& value, Budget& budget);

// Python's repr of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16.
std::string float_repr(double number);

// As json.dumps(value, ensure_ascii=..., indent=..., separators=..., sort_keys=...).
struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;  // one level's; absent: all on one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
  bool sort_keys = false;
};
void append_json(std::string& out, const Value& value, const JsonStyle& style, Budget& budget);

// text with & < > ' " as HTML entities
std::string html_escaped(const std::string& text);

}  // namespace shoal::jinja
