#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace shoal {

// C0, DEL and C1: what may move a terminal's cursor.
constexpr bool is_control_character(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

// UTF-8 without control characters.
bool is_printable(std::string_view text);

// Text from a file made safe for a terminal, a log line or JSON: control characters and bytes that are not
// UTF-8 become '?', and at most `max_bytes` are kept (an ellipsis marks the cut).
std::string printable(std::string_view text, std::size_t max_bytes = 96);

// The same between quotes, for error messages.
std::string in_quotes(std::string_view text);

}  // namespace shoal
