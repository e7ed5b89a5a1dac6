#include "cli/nearest_name.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

const std::vector<std::string> kCommands = {"up",    "run",   "chat",     "status",      "plan",  "pull",
                                            "score", "bench", "tokenize", "coordinator", "worker"};

TEST_CASE("a misspelt word has a nearest right one") {
  CHECK(nearest_word("statsu", kCommands) == "status");
  CHECK(nearest_word("runn", kCommands) == "run");
  CHECK(nearest_word("tokenise", kCommands) == "tokenize");
  CHECK(nearest_word("coord", kCommands) == "coordinator");
  CHECK(nearest_word("pul", kCommands) == "pull");
  CHECK(did_you_mean("caht", kCommands) == "; did you mean \"chat\"?");
}

TEST_CASE("a word that is like none has no nearest one") {
  for (const char* word : {"", "x", "ls", "no-such-command", "kubernetes"}) {
    CAPTURE(word);
    CHECK(nearest_word(word, kCommands).empty());
    CHECK(did_you_mean(word, kCommands).empty());
  }
  CHECK(nearest_word("run", {}).empty());
}

TEST_CASE("where no name is near, the right ones are listed") {
  CHECK(nearest_hint("statsu", kCommands) == "; did you mean \"status\"?");
  CHECK(nearest_hint("zzzz", {"one", "two"}) == "; possible here: one, two");
  CHECK(nearest_hint("zzzz", std::vector<std::string>(21, "a")).ends_with(", a, ..."));
  CHECK(nearest_hint("zzzz", {}).empty());
}

}  // namespace
}  // namespace shoal
