#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal {

// Which characters a JSON string escapes.
enum class JsonEscapes : std::uint8_t {
  Required,  // the quote, the backslash and what is below U+0020: the least that RFC 8259 asks for
  Controls,  // also U+007F to U+009F, so that a terminal may show it
  NonAscii,  // all from U+007F on: the output is ASCII
};

// Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so the output is
// always valid JSON. Source: RFC 8259, section 7.
void append_json_string(std::string& out, std::string_view text, JsonEscapes escapes = JsonEscapes::Controls);

}  // namespace shoal
