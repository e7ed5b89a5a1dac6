#include "base/utf8.h"

#include <doctest/doctest.h>

#include <string>

namespace shoal {
namespace {

using Kind = Utf8Step::Kind;

bool is_surrogate(char32_t codepoint) { return codepoint >= 0xD800 && codepoint < 0xE000; }

}  // namespace

TEST_CASE("every character comes back from its bytes") {
  std::size_t wrong = 0;
  for (char32_t codepoint = 0; codepoint <= 0x10FFFF; ++codepoint) {
    std::string bytes;
    append_utf8(bytes, codepoint);
    const Utf8Step step = utf8_step(bytes, 0);
    const char32_t stands_there = is_surrogate(codepoint) ? kReplacementCharacter : codepoint;
    const bool right =
        step.kind == Kind::Character && step.codepoint == stands_there && step.length == bytes.size();
    if (!right) ++wrong;
  }
  CHECK(wrong == 0);
}

TEST_CASE("every two bytes are what the table of well-formed sequences says") {
  std::size_t wrong = 0;
  for (unsigned first = 0x80; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second), 'x'};
      const Utf8Step step = utf8_step(text, 0);
      const bool continues = (second & 0xC0) == 0x80;
      const bool in_range = continues && !(first == 0xE0 && second < 0xA0) &&
                            !(first == 0xED && second > 0x9F) && !(first == 0xF0 && second < 0x90) &&
                            !(first == 0xF4 && second > 0x8F);
      const bool two = first >= 0xC2 && first <= 0xDF && in_range;
      const bool longer = first >= 0xE0 && first <= 0xF4 && in_range;  // and then the x cuts it short
      const Kind kind = two ? Kind::Character : Kind::Invalid;
      if (step.kind != kind || step.length != (two || longer ? 2u : 1u)) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a good beginning at the end of a text is truncated and not invalid") {
  for (const std::string_view whole : {"\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x91\x8B"}) {
    for (std::size_t length = 1; length < whole.size(); ++length) {
      const Utf8Step step = utf8_step(whole.substr(0, length), 0);
      CHECK(step.kind == Kind::Truncated);
      CHECK(step.length == length);
    }
  }
  CHECK(utf8_step("\xE0", 0).kind == Kind::Truncated);
  CHECK(utf8_step("\xE0\x80", 0).kind == Kind::Invalid);  // overlong, whatever follows
  CHECK(utf8_step("\xF5", 0).kind == Kind::Invalid);
}

TEST_CASE("a text is UTF-8 where all of it is") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"));
  CHECK_FALSE(is_utf8("a\xFF"));
  CHECK_FALSE(is_utf8("a\xC3"));
}

TEST_CASE("a valid run ends at the first ill-formed byte") {
  CHECK(valid_utf8_run("", 0) == 0);
  CHECK(valid_utf8_run("a\xC3\xA9z", 0) == 4);
  CHECK(valid_utf8_run("a\xC3\xA9\xFFz", 0) == 3);
  CHECK(valid_utf8_run("a\xC3\xA9\xFFz", 3) == 0);
  CHECK(valid_utf8_run("a\xC3\xA9\xFFz", 4) == 1);
  CHECK(valid_utf8_run("ab\xE4\xBD", 0) == 2);
}

}  // namespace shoal
