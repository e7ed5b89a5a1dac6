#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace shoal {

inline constexpr char32_t kReplacementCharacter = 0xFFFD;

// What lies at one place in bytes that claim to be UTF-8.
struct Utf8Step {
  enum class Kind : std::uint8_t {
    Character,  // one well-formed character
    Invalid,    // bytes that no continuation can make well-formed: what one U+FFFD stands for
    Truncated,  // a good beginning that the text ends in
  };
  Kind kind = Kind::Invalid;
  std::uint32_t length = 0;  // bytes; at least 1
  char32_t codepoint = kReplacementCharacter;
};

// The step at `at` < text.size(). Ill-formed bytes are taken as maximal subparts, so that Python's
// errors="replace" and we put U+FFFD in the same places. Overlong forms, surrogates and numbers above
// U+10FFFF are ill-formed. Source: The Unicode Standard 15.0, section 3.9, table 3-7 and "U+FFFD Substitution
// of Maximal Subparts".
Utf8Step utf8_step(std::string_view text, std::size_t at);

// Bytes from `at` on that are well-formed characters, up to the first that are not.
std::size_t valid_utf8_run(std::string_view text, std::size_t at);

bool is_utf8(std::string_view text);

// The same bytes with each ill-formed part replaced by U+FFFD.
std::string to_valid_utf8(std::string_view text);

// Surrogates and numbers above U+10FFFF are no characters: U+FFFD stands in for them.
void append_utf8(std::string& out, char32_t codepoint);

}  // namespace shoal
