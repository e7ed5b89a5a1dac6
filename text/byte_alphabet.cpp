#include "text/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace shoal {
namespace {

constexpr char32_t kFirstStandIn = 0x100;
constexpr std::size_t kNumStandIns = 68;

bool stands_for_itself(std::uint32_t byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<char, 256 + kNumStandIns> bytes{};  // by codepoint; meaningless where `known` is false
  std::array<bool, 256 + kNumStandIns> known{};

  Alphabet() {
    char32_t stand_in = kFirstStandIn;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const char32_t codepoint = stands_for_itself(byte) ? char32_t{byte} : stand_in++;
      append_utf8(characters[byte], codepoint);
      bytes[codepoint] = static_cast<char>(static_cast<std::uint8_t>(byte));
      known[codepoint] = true;
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

std::string_view byte_character(std::uint8_t byte) { return alphabet().characters[byte]; }

std::string decode_byte_characters(std::string_view text) {
  const Alphabet& letters = alphabet();
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const bool known = step.codepoint < letters.known.size() && letters.known[step.codepoint];
    if (!known) return std::string(text);
    out.push_back(letters.bytes[step.codepoint]);
    at += step.length;
  }
  return out;
}

void append_byte_characters(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) out.append(byte_character(static_cast<std::uint8_t>(byte)));
}

}  // namespace shoal
