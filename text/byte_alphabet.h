#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoal {

// The alphabet in which byte-level BPE vocabularies are written: a visible character for each of the 256
// bytes. Printable ASCII and Latin-1 stand for themselves, the other 68 bytes for U+0100, U+0101, ... in
// order (a space is U+0120). Source: Radford et al. 2019 (GPT-2), the released encoder's byte-to-unicode
// table.
std::string_view byte_character(std::uint8_t byte);  // UTF-8

// The bytes that a vocabulary text stands for. A text with a character outside the alphabet stands for
// itself.
std::string decode_byte_characters(std::string_view text);

void append_byte_characters(std::string& out, std::string_view bytes);

}  // namespace shoal
