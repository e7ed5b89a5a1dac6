#include "base/utf8.h"

namespace shoal {
namespace {

// What a lead byte promises: how many bytes follow, and the range of the first of them (later ones
// are 80..BF).
struct Lead {
  std::uint32_t following = 0;
  std::uint8_t first_low = 0x80;
  std::uint8_t first_high = 0xBF;
};

Lead lead_of(std::uint8_t byte) {
  if (byte >= 0xC2 && byte <= 0xDF) return {1, 0x80, 0xBF};
  if (byte == 0xE0) return {2, 0xA0, 0xBF};
  if (byte == 0xED) return {2, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {2, 0x80, 0xBF};
  if (byte == 0xF0) return {3, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {3, 0x80, 0xBF};
  if (byte == 0xF4) return {3, 0x80, 0x8F};
  return {};
}

}  // namespace

Utf8Step utf8_step(std::string_view text, std::size_t at) {
  using Kind = Utf8Step::Kind;
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(at);
  if (first < 0x80) return {Kind::Character, 1, first};
  const Lead lead = lead_of(first);
  if (lead.following == 0) return {Kind::Invalid, 1, kReplacementCharacter};

  char32_t codepoint = first & (0x3Fu >> lead.following);
  for (std::uint32_t i = 1; i <= lead.following; ++i) {
    if (at + i == text.size()) return {Kind::Truncated, i, kReplacementCharacter};
    const std::uint8_t low = i == 1 ? lead.first_low : std::uint8_t{0x80};
    const std::uint8_t high = i == 1 ? lead.first_high : std::uint8_t{0xBF};
    if (byte(at + i) < low || byte(at + i) > high) return {Kind::Invalid, i, kReplacementCharacter};
    codepoint = (codepoint << 6) | (byte(at + i) & 0x3Fu);
  }
  return {Kind::Character, lead.following + 1, codepoint};
}

std::size_t valid_utf8_run(std::string_view text, std::size_t at) {
  std::size_t end = at;
  while (end < text.size()) {
    const Utf8Step step = utf8_step(text, end);
    if (step.kind != Utf8Step::Kind::Character) break;
    end += step.length;
  }
  return end - at;
}

bool is_utf8(std::string_view text) { return valid_utf8_run(text, 0) == text.size(); }

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t run = valid_utf8_run(text, at);
    out.append(text.substr(at, run));
    at += run;
    if (at == text.size()) break;
    append_utf8(out, kReplacementCharacter);
    at += utf8_step(text, at).length;
  }
  return out;
}

void append_utf8(std::string& out, char32_t codepoint) {
  if (codepoint > 0x10FFFF || (codepoint >= 0xD800 && codepoint < 0xE000)) codepoint = kReplacementCharacter;
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(static_cast<std::uint8_t>(byte))); };
  if (codepoint < 0x80) {
    put(codepoint);
  } else if (codepoint < 0x800) {
    put(0xC0 | (codepoint >> 6));
    put(0x80 | (codepoint & 0x3F));
  } else if (codepoint < 0x10000) {
    put(0xE0 | (codepoint >> 12));
    put(0x80 | ((codepoint >> 6) & 0x3F));
    put(0x80 | (codepoint & 0x3F));
  } else {
    put(0xF0 | (codepoint >> 18));
    put(0x80 | ((codepoint >> 12) & 0x3F));
    put(0x80 | ((codepoint >> 6) & 0x3F));
    put(0x80 | (codepoint & 0x3F));
  }
}

}  // namespace shoal
