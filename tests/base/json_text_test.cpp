#include "base/json_text.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

std::string json(std::string_view text, JsonEscapes escapes = JsonEscapes::Controls) {
  std::string out;
  append_json_string(out, text, escapes);
  return out;
}

}  // namespace

TEST_CASE("a JSON string escapes what must be escaped and leaves the rest") {
  CHECK(json("") == R"("")");
  CHECK(json("a\"\\/\b\f\n\r\t\x01z") == R"("a\"\\/\b\f\n\r\t\u0001z")");
  CHECK(json(std::string_view("\0", 1)) == R"("\u0000")");
  CHECK(json("é漢😀") == R"("é漢😀")");
  CHECK(json("\x7f\xC2\x9B") == R"("\u007f\u009b")");
  CHECK(json("\x7f\xC2\x9B\x1f", JsonEscapes::Required) == "\"\x7f\xC2\x9B\\u001f\"");
}

TEST_CASE("escaped, a JSON string is ASCII") {
  CHECK(json("aé漢", JsonEscapes::NonAscii) == R"("a\u00e9\u6f22")");
  CHECK(json("😀\x7f", JsonEscapes::NonAscii) == R"("\ud83d\ude00\u007f")");
  CHECK(json("\U0010FFFF", JsonEscapes::NonAscii) == R"("\udbff\udfff")");
}

TEST_CASE("bytes that are not UTF-8 become the replacement character in a JSON string") {
  CHECK(json("a\xFFz\xE2\x82") == "\"a\uFFFDz\uFFFD\"");
  CHECK(json("\xC0\x80", JsonEscapes::NonAscii) == R"("\ufffd\ufffd")");
}

}  // namespace shoal
