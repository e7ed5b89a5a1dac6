#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/utf8.h"
#include "tests/support/random.h"
#include "tests/text/judged_cases.h"
#include "text/tokenizer.h"

namespace shoal {
namespace {

constexpr std::string_view kMixed =
    "na\xC3\xAFve \xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA6 e\xCC\x81 \xD8\xB9 z";

std::string random_bytes(Random& random, std::size_t max_length) {
  // Mostly bytes that begin and continue characters, so that sequences of every fate come up.
  constexpr std::string_view kLikely =
      "\x80\x8F\x90\x9F\xA0\xBF\xC1\xC2\xDF\xE0\xE1\xED\xEF\xF0\xF1\xF4\xF5\xFF\x41\x20";
  std::string bytes(random.below(max_length + 1), '\0');
  for (char& byte : bytes) {
    byte = random.below(4) == 0 ? static_cast<char>(static_cast<std::uint8_t>(random.below(256)))
                                : kLikely[random.below(kLikely.size())];
  }
  return bytes;
}

}  // namespace

TEST_CASE("a stream cut at any two places gives whole characters and the same text") {
  for (std::size_t first = 0; first <= kMixed.size(); ++first) {
    for (std::size_t second = first; second <= kMixed.size(); ++second) {
      TextStream stream;
      std::string whole;
      for (const std::string_view part :
           {kMixed.substr(0, first), kMixed.substr(first, second - first), kMixed.substr(second)}) {
        const std::string given = stream.push(part);
        REQUIRE(is_utf8(given));
        whole += given;
      }
      REQUIRE(whole == kMixed);
      REQUIRE(stream.flush().empty());
    }
  }
}

TEST_CASE("a character is given with its last byte and not later") {
  TextStream stream;
  std::string given;
  for (std::size_t i = 0; i < kMixed.size(); ++i) {
    given += stream.push(kMixed.substr(i, 1));
    const std::string_view so_far = kMixed.substr(0, i + 1);
    CHECK(given == so_far.substr(0, valid_utf8_run(so_far, 0)));
  }
}

TEST_CASE("bytes that can never become a character are replaced at once") {
  TextStream stream;
  CHECK(stream.push("a\xFF") == "a\xEF\xBF\xBD");
  CHECK(stream.push("\xE4\xBD") == "");
  CHECK(stream.push("b") ==
        "\xEF\xBF\xBD"
        "b");  // one for the two bytes that began well
  CHECK(stream.push("\xE0") == "");
  CHECK(stream.push("\x80") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  CHECK(stream.push("\xF0\x9F\x91") == "");
  CHECK(stream.flush() == "\xEF\xBF\xBD");
  CHECK(stream.flush() == "");
  CHECK(stream.push("\x8B") == "\xEF\xBF\xBD");  // what came before flush is over
}

TEST_CASE("a stream replaces what Python replaces, cut byte by byte") {
  const Judgement judgement = read_judgement();
  for (const auto& [bytes, expected] : judgement.replaced) {
    TextStream stream;
    std::string given;
    for (const char byte : bytes) given += stream.push(std::string_view(&byte, 1));
    given += stream.flush();
    CHECK(given == expected);
  }
}

TEST_CASE("random bytes in random parts give valid text, the same however they are cut") {
  Random random(5);
  for (int round = 0; round < 3000; ++round) {
    const std::string bytes = random_bytes(random, 40);
    TextStream stream;
    std::string given;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t length = random.below(bytes.size() - at + 1);
      const std::string part = stream.push(std::string_view(bytes).substr(at, length));
      REQUIRE(is_utf8(part));
      given += part;
      at += length;
    }
    given += stream.flush();
    REQUIRE(given == to_valid_utf8(bytes));
  }
}

TEST_CASE("ill-formed parts are replaced where Python replaces them") {
  const Judgement judgement = read_judgement();
  REQUIRE(judgement.replaced.size() > 200);
  std::size_t ill_formed = 0;
  for (const auto& [bytes, expected] : judgement.replaced) {
    CAPTURE(expected);
    CHECK(to_valid_utf8(bytes) == expected);
    if (bytes != expected) ++ill_formed;
  }
  CHECK(ill_formed > 150);
}

}  // namespace shoal
