#pragma once

#include <string>
#include <string_view>

namespace shoal {

// Text for a terminal: control characters except newline and tab, C1 controls among them, become U+FFFD, so
// that a model's answer or a device's name cannot move the cursor or change the terminal. Expects whole UTF-8
// characters.
std::string terminal_safe(std::string_view text);

// A token's bytes in a table: quoted and escaped, or as hexadecimal numbers where they are not whole
// characters.
std::string shown_piece(std::string_view piece);

}  // namespace shoal
