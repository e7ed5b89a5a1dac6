#include "coordinator/answer.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

struct Said {
  std::string shown;
  bool stopped = false;
};

Said say(std::vector<std::string> stop, const std::vector<std::string>& pieces) {
  AnswerText text(std::move(stop));
  Said said;
  for (const std::string& piece : pieces) said.shown += text.push(piece);
  said.shown += text.flush();
  said.stopped = text.stopped();
  return said;
}

std::vector<std::string> bytes_of(const std::string& text) {
  std::vector<std::string> pieces;
  for (const char byte : text) pieces.emplace_back(1, byte);
  return pieces;
}

}  // namespace

TEST_CASE("an answer without stop strings is shown as it comes") {
  AnswerText text({});
  CHECK(text.push("Hel") == "Hel");
  CHECK(text.push("lo") == "lo");
  CHECK(text.flush() == "");
  CHECK_FALSE(text.stopped());
}

TEST_CASE("a stop string ends the text before itself, however its bytes are cut into tokens") {
  for (const std::vector<std::string>& pieces : {std::vector<std::string>{"one STOP two"},
                                                 {"one S", "TOP", " two"},
                                                 {"one ", "STOP", " two"},
                                                 bytes_of("one STOP two")}) {
    const Said said = say({"STOP"}, pieces);
    CHECK(said.shown == "one ");
    CHECK(said.stopped);
  }
}

TEST_CASE("what may be the beginning of a stop string waits, and is shown when it is not") {
  AnswerText text({"###"});
  CHECK(text.push("a#") == "a");
  CHECK(text.push("#") == "");
  CHECK(text.push("b") == "##b");
  CHECK(text.push("#") == "");
  CHECK(text.flush() == "#");
  CHECK_FALSE(text.stopped());
}

TEST_CASE("a stop string that begins within a false beginning of itself is found") {
  CHECK(say({"aab"}, bytes_of("aaab!")).shown == "a");
  CHECK(say({"abab"}, bytes_of("xabaabab")).shown == "xaba");
  CHECK(say({"\n\n"}, bytes_of("one\ntwo\n\nthree")).shown == "one\ntwo");
}

TEST_CASE("of several stop strings the first that is complete counts, and the longest beginning waits") {
  CHECK(say({"END", "stop"}, bytes_of("do stop END")).shown == "do ");
  CHECK(say({"bcd", "abcde"}, bytes_of("xabcdq")).shown == "xa");
  AnswerText text({"xyz", "zz"});
  CHECK(text.push("xy") == "");
  CHECK(text.push("z") == "");
  CHECK(text.stopped());
}

TEST_CASE("characters are shown whole, and broken ones as the replacement character") {
  AnswerText text({});
  CHECK(text.push("\xC3") == "");
  CHECK(text.push("\xA4") == "\xC3\xA4");
  CHECK(text.push("\xE2\x82") == "");
  CHECK(text.flush() == "\xEF\xBF\xBD");
}

TEST_CASE("stop strings of more than one byte a character are found across tokens") {
  CHECK(say({"\xE2\x82\xAC"}, bytes_of("5 \xE2\x82\xAC!")).shown == "5 ");
  CHECK(say({"ä!"}, bytes_of("ää!")).shown == "ä");
}

TEST_CASE("nothing is shown after the end, and an empty stop string stops nothing") {
  AnswerText text({"."});
  CHECK(text.push("a.b") == "a");
  CHECK(text.push("c") == "");
  CHECK(text.flush() == "");
  CHECK(say({""}, {"ab", "c"}).shown == "abc");
}

}  // namespace shoal
