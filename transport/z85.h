#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace shoal {

// Z85: four bytes as five printable characters. Source: RFC 32/Z85.

// bytes.size() must be a multiple of four.
std::string z85_encode(std::span<const std::uint8_t> bytes);

// A 32-byte key from its 40 characters; nullopt if that is not what `text` is.
std::optional<std::array<std::uint8_t, 32>> z85_decode_key(std::string_view text);

inline bool is_z85_key(std::string_view text) { return z85_decode_key(text).has_value(); }

}  // namespace shoal
