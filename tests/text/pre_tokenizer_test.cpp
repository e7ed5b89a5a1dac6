#include "text/pre_tokenizer.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tests/support/random.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

using Pieces = std::vector<std::string>;

constexpr const char* kNames[] = {"smollm", "qwen2", "llama-bpe", "gpt-2", "default"};

Pieces pieces_of(const char* name, std::string_view text) {
  const Result<PreTokenizer> pre_tokenizer = PreTokenizer::open(name);
  REQUIRE(pre_tokenizer);
  std::vector<std::string_view> views;
  REQUIRE(pre_tokenizer->split(text, views));
  return Pieces(views.begin(), views.end());
}

}  // namespace

TEST_CASE("a pre-tokenizer nobody knows is refused by name, with those that are known") {
  const Result<PreTokenizer> unknown = PreTokenizer::open("tekken");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().code() == ErrorCode::Unsupported);
  CHECK(unknown.error().message().find("\"tekken\"") != std::string::npos);
  for (const char* name : kNames) {
    CAPTURE(name);
    CHECK(unknown.error().message().find(name) != std::string::npos);
    CHECK(PreTokenizer::open(name));
  }
}

TEST_CASE("white space gives its last space to the next word") {
  for (const char* name : kNames) {
    CAPTURE(name);
    CHECK(pieces_of(name, "a b") == Pieces{"a", " b"});
    CHECK(pieces_of(name, "a   b") == Pieces{"a", "  ", " b"});
    CHECK(pieces_of(name, "a  ") == Pieces{"a", "  "});
    CHECK(pieces_of(name, "").empty());
  }
}

TEST_CASE("each pre-tokenizer groups digits in its own way") {
  CHECK(pieces_of("smollm", "x 1234") == Pieces{"x", " ", "1", "2", "3", "4"});
  CHECK(pieces_of("qwen2", "x 1234") == Pieces{"x", " ", "1", "2", "3", "4"});
  CHECK(pieces_of("llama-bpe", "x 1234") == Pieces{"x", " ", "123", "4"});
  CHECK(pieces_of("gpt-2", "x 1234") == Pieces{"x", " 1234"});
  CHECK(pieces_of("default", "x 1234") == Pieces{"x", " ", "123", "4"});
}

TEST_CASE("contractions are cut off, in capitals only where the pattern is blind to case") {
  for (const char* name : {"smollm", "gpt-2"}) {
    CAPTURE(name);
    CHECK(pieces_of(name, "we'll") == Pieces{"we", "'ll"});
    CHECK(pieces_of(name, "WE'LL") == Pieces{"WE", "'", "LL"});
  }
  for (const char* name : {"qwen2", "llama-bpe"}) {
    CAPTURE(name);
    CHECK(pieces_of(name, "we'll") == Pieces{"we", "'ll"});
    CHECK(pieces_of(name, "WE'Ll") == Pieces{"WE", "'Ll"});
    CHECK(pieces_of(name, "a'x") == Pieces{"a", "'x"});  // a mark before a word belongs to it
  }
  CHECK(pieces_of("default", "we'll") == Pieces{"we", "'", "ll"});  // punctuation is cut out first
}

TEST_CASE("line ends stay with the marks before them or with each other") {
  for (const char* name : {"qwen2", "llama-bpe"}) {
    CAPTURE(name);
    CHECK(pieces_of(name, "};\r\n\n  x") == Pieces{"};\r\n\n", " ", " x"});
    CHECK(pieces_of(name, "a \n \n b") == Pieces{"a", " \n \n", " b"});
  }
  CHECK(pieces_of("gpt-2", "};\n\nx") == Pieces{"};", "\n", "\n", "x"});
}

TEST_CASE("spaces are Unicode's white space and U+180E is none") {
  // A space joins the mark after it; the mark itself is what GPT-2's pattern calls neither space, letter nor
  // number.
  CHECK(pieces_of("gpt-2",
                  "a \xE1\xA0\x8E"
                  "b") == Pieces{"a", " \xE1\xA0\x8E", "b"});
  CHECK(pieces_of("gpt-2",
                  "a\xC2\x85\xE3\x80\x80"
                  "b") == Pieces{"a", "\xC2\x85", "\xE3\x80\x80", "b"});
}

TEST_CASE("a byte that is no UTF-8 is a piece of its own") {
  for (const char* name : kNames) {
    CAPTURE(name);
    CHECK(pieces_of(name,
                    "ab\xFF\xFE"
                    "cd \xE4\xBD") == Pieces{"ab", "\xFF", "\xFE", "cd", " ", "\xE4", "\xBD"});
  }
}

TEST_CASE("the pieces of any bytes are the bytes again") {
  Random random(3);
  for (const char* name : kNames) {
    CAPTURE(name);
    for (int round = 0; round < 300; ++round) {
      std::string bytes(random.below(60), '\0');
      for (char& byte : bytes)
        byte = static_cast<char>(static_cast<std::uint8_t>(random.below(round % 2 == 0 ? 256 : 128)));
      std::string joined;
      for (const std::string& piece : pieces_of(name, bytes)) {
        REQUIRE_FALSE(piece.empty());
        joined += piece;
      }
      REQUIRE(joined == bytes);
    }
  }
}

TEST_CASE("no long run meets the matcher's limits") {
  const std::size_t length = kIsSlowRun ? 300'000 : 3'000'000;
  for (const char* name : kNames) {
    CAPTURE(name);
    for (const char c : {' ', '\n', 'a', '!', '\'', '\xFF'}) {
      CHECK(pieces_of(name, std::string(length, c)).size() <= length);
    }
    CHECK(pieces_of(name, std::string(length, '7')).size() <= length);
    CHECK(pieces_of(name, std::string(length, ' ') + "x").size() == 2);
  }
}

}  // namespace shoal
