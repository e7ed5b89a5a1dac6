#include "base/json_text.h"

#include "base/utf8.h"

namespace shoal {
namespace {

// Characters that have an escape of their own, and its letter.
constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
constexpr std::string_view kNames = "\"\\bfnrt";

void append_unit(std::string& out, std::uint32_t utf16) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kHex[utf16 >> shift & 15];
}

bool needs_escape(char32_t c, JsonEscapes escapes) {
  if (c < 0x7F) return c < 0x20 || c == '"' || c == '\\';
  return escapes == JsonEscapes::NonAscii || (escapes == JsonEscapes::Controls && c < 0xA0);
}

void append_escape(std::string& out, char32_t c) {
  const std::size_t name = c < 0x80 ? kNamed.find(static_cast<char>(c)) : std::string_view::npos;
  if (name != std::string_view::npos) {
    out += '\\';
    out += kNames[name];
  } else if (c < 0x10000) {
    append_unit(out, c);
  } else {  // a surrogate pair
    append_unit(out, 0xD800 + ((c - 0x10000) >> 10));
    append_unit(out, 0xDC00 + ((c - 0x10000) & 0x3FF));
  }
}

}  // namespace

void append_json_string(std::string& out, std::string_view text, JsonEscapes escapes) {
  out += '"';
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (needs_escape(step.codepoint, escapes)) {
      append_escape(out, step.codepoint);
    } else {
      append_utf8(out, step.codepoint);
    }
    at += step.length;
  }
  out += '"';
}

}  // namespace shoal
