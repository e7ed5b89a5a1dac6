#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>

#include "coordinator/http/json_value.h"
#include "coordinator/http/json_writer.h"
#include "tests/coordinator/http_client.h"
#include "tests/support/random.h"

using namespace shoal;

namespace {

std::string number_text(float value) {
  std::string text;
  append_json_number(text, value);
  return text;
}

std::string string_text(std::string_view value) {
  std::string text;
  append_json_string(text, value);
  return text;
}

}  // namespace

TEST_CASE("a JSON document is read into values of its types") {
  const Result<JsonValue> json =
      read_json(R"({"a":[1,-2,3.5,true,null,"x\u00e9"],"b":{"c":18446744073709551615}})");
  REQUIRE(json);
  CHECK(integer_at(*json, "a.0") == 1);
  CHECK(integer_at(*json, "a.1") == -2);
  CHECK(at(*json, "a.2").number() == 3.5);
  CHECK(*at(*json, "a.3").boolean());
  CHECK(at(*json, "a.4").is_null());
  CHECK(text_at(*json, "a.5") == "x\xC3\xA9");
  CHECK(at(*json, "b.c").integer() == nullptr);
  CHECK(at(*json, "b.c").number() == 18446744073709551615.0);
}

TEST_CASE("of a repeated key the last value counts") {
  const Result<JsonValue> json = read_json(R"({"a":1,"a":2})");
  REQUIRE(json);
  CHECK(integer_at(*json, "a") == 2);
}

TEST_CASE("JSON that is not JSON is refused with a reason") {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "nul", "NaN", "[1e999]", "\"\xFF\"", "\"\\ud800\"",
                           "{} {}", "{'a':1}", "01"}) {
    CAPTURE(text);
    const Result<JsonValue> json = read_json(text);
    REQUIRE_FALSE(json);
    CHECK(json.error().code() == ErrorCode::InvalidArgument);
    CHECK(json.error().message().find("json.exception") == std::string::npos);
  }
}

TEST_CASE("JSON may nest 64 levels and no more") {
  CHECK(read_json(std::string(64, '[') + std::string(64, ']')));
  const Result<JsonValue> deep = read_json(std::string(65, '[') + std::string(65, ']'));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message().find("64 levels") != std::string::npos);
  CHECK_FALSE(read_json(std::string(1'000'000, '[')));
}

TEST_CASE("a document of too many values is refused before it costs memory") {
  std::string text = "[0";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i) text += ",0";
  const Result<JsonValue> json = read_json(text + "]");
  REQUIRE_FALSE(json);
  CHECK(json.error().message().find("values") != std::string::npos);
}

TEST_CASE("what is read can be written again") {
  const std::string text = R"({"a":[1,2.5,true,null,"q\"uote"],"b":{}})";
  const Result<JsonValue> json = read_json(text);
  REQUIRE(json);
  std::string out;
  append_json(out, *json);
  CHECK(out == text);
}

TEST_CASE("a float is written with the fewest digits that give its bits back") {
  CHECK(number_text(0.1f) == "0.1");
  CHECK(number_text(-3.0f) == "-3.0");
  Random random(1);
  for (int i = 0; i < 20000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random.next()));
    if (!std::isfinite(value)) continue;
    const Result<JsonValue> json = read_json(number_text(value));
    REQUIRE(json);
    const auto back = static_cast<float>(json->number());
    CHECK(std::bit_cast<std::uint32_t>(back) == std::bit_cast<std::uint32_t>(value));
  }
}

TEST_CASE("numbers that JSON has not are written as ones it has") {
  CHECK(number_text(-std::numeric_limits<float>::infinity()) == "-9999.0");
  CHECK(number_text(std::numeric_limits<float>::infinity()) == "9999.0");
  CHECK(read_json(number_text(std::nanf(""))));
}

TEST_CASE("a string is escaped, and bytes that are not UTF-8 become U+FFFD") {
  CHECK(string_text("a\"b\\c\n\x01\x7f") == R"("a\"b\\c\n\u0001\u007f")");
  CHECK(string_text("\xF0\x9F\x90\x9F") == "\"\xF0\x9F\x90\x9F\"");
  CHECK(string_text("a\xC3") == "\"a\xEF\xBF\xBD\"");
  Random random(2);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes;
    for (std::uint64_t n = random.below(12); n > 0; --n) bytes += static_cast<char>(random.next());
    CHECK(read_json(string_text(bytes)));
  }
}
