#include "transport/z85.h"

#include "base/check.h"

namespace shoal {
namespace {

constexpr std::string_view kAlphabet =
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

constexpr std::array<std::int8_t, 256> make_values() {
  std::array<std::int8_t, 256> values{};
  for (std::int8_t& value : values) value = -1;
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}
constexpr std::array<std::int8_t, 256> kValues = make_values();

}  // namespace

std::string z85_encode(std::span<const std::uint8_t> bytes) {
  SHOAL_CHECK(bytes.size() % 4 == 0);
  std::string text(bytes.size() / 4 * 5, '\0');
  for (std::size_t group = 0; group < bytes.size() / 4; ++group) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | bytes[group * 4 + i];
    for (std::size_t i = 5; i-- > 0; value /= 85) text[group * 5 + i] = kAlphabet[value % 85];
  }
  return text;
}

std::optional<std::array<std::uint8_t, 32>> z85_decode_key(std::string_view text) {
  if (text.size() != 40) return std::nullopt;
  std::array<std::uint8_t, 32> bytes{};
  for (std::size_t group = 0; group < 8; ++group) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const std::int8_t digit = kValues[static_cast<unsigned char>(text[group * 5 + i])];
      if (digit < 0) return std::nullopt;
      value = value * 85 + static_cast<std::uint64_t>(digit);
    }
    if (value > 0xffffffffu) return std::nullopt;
    for (std::size_t i = 0; i < 4; ++i)
      bytes[group * 4 + i] = static_cast<std::uint8_t>(value >> (24 - 8 * i));
  }
  return bytes;
}

}  // namespace shoal
