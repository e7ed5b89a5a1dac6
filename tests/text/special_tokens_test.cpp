#include "text/special_tokens.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random.h"
#include "tests/text/token_tables.h"

namespace shoal {
namespace {

constexpr std::int32_t kUnknown = 2;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kUserDefined = 4;

Vocabulary vocabulary_of(const TokenTables& tables) {
  const Result<GgufFile> file = write_and_open(tables);
  REQUIRE(file);
  Result<Vocabulary> vocabulary = Vocabulary::open(*file);
  REQUIRE(vocabulary);
  return *std::move(vocabulary);
}

// "plain|[token]|plain"
std::string shown(const SpecialTokens& tokens, std::string_view text, bool parse_control) {
  std::string out;
  for (const Fragment& fragment : tokens.split(text, parse_control)) {
    if (!out.empty()) out += "|";
    out += fragment.token == kNoToken ? std::string(fragment.text) : "[" + std::string(fragment.text) + "]";
  }
  return out;
}

// The definition, taken literally: token by token, longest first, each wherever it still stands in what is
// left.
std::vector<std::pair<std::string, bool>> split_slowly(const std::vector<std::string>& tokens,
                                                       const std::string& text) {
  std::vector<std::pair<std::string, bool>> parts = {{text, false}};
  for (const std::string& token : tokens) {
    std::vector<std::pair<std::string, bool>> next;
    for (const auto& [part, taken] : parts) {
      std::size_t at = 0;
      for (std::size_t found; !taken && (found = part.find(token, at)) != std::string::npos;
           at = found + token.size()) {
        if (found > at) next.emplace_back(part.substr(at, found - at), false);
        next.emplace_back(token, true);
      }
      if (at < part.size()) next.emplace_back(part.substr(at), taken);
    }
    parts = next;
  }
  return parts;
}

}  // namespace

TEST_CASE("control tokens are found only where asked and user-defined ones always") {
  TokenTables tables = byte_level_tables("");
  tables.add("<|im_end|>", kControl);
  tables.add("<unk>", kUnknown);
  tables.add("<tool>", kUserDefined);
  const Vocabulary vocabulary = vocabulary_of(tables);
  const SpecialTokens tokens(vocabulary);
  const std::string_view text = "a<|im_end|><tool><unk>b<|im_end|";
  CHECK(shown(tokens, text, false) == "a<|im_end|>|[<tool>]|<unk>b<|im_end|");
  CHECK(shown(tokens, text, true) == "a|[<|im_end|>]|[<tool>]|[<unk>]|b<|im_end|");
  CHECK(shown(tokens, "", true).empty());
  CHECK(tokens.split("<tool>", false).at(0).token == tables.id_of("<tool>"));
}

TEST_CASE("longer tokens come first, also when a shorter one begins before them") {
  TokenTables tables = byte_level_tables("");
  for (const char* token : {"\n", "\n\n", "\n\n\n", "ab", "bcd"}) tables.add(token, kUserDefined);
  const Vocabulary vocabulary = vocabulary_of(tables);
  const SpecialTokens tokens(vocabulary);
  CHECK(shown(tokens, "\n\n\n\n\n", false) == "[\n\n\n]|[\n\n]");
  CHECK(shown(tokens, "x\n\n\n\nx", false) == "x|[\n\n\n]|[\n]|x");
  CHECK(shown(tokens, "abcd", false) == "a|[bcd]");
  CHECK(shown(tokens, "abab", false) == "[ab]|[ab]");
}

TEST_CASE("tokens are found as the slow definition finds them") {
  Random random(8);
  for (int round = 0; round < 400; ++round) {
    // One token of each length: the definition leaves the order of equally long ones open.
    TokenTables tables = byte_level_tables("");
    std::vector<std::string> longest_first;
    for (std::size_t length = 7; length >= 2; --length) {
      std::string token(length, 'a');
      for (char& c : token) c = "abc"[random.below(random.below(2) + 2)];
      longest_first.push_back(token);
      tables.add(token, kUserDefined);
    }
    const Vocabulary vocabulary = vocabulary_of(tables);
    const SpecialTokens tokens(vocabulary);
    std::string text(random.below(60), 'a');
    for (char& c : text) c = "abc"[random.below(3)];
    CAPTURE(text);

    std::vector<std::pair<std::string, bool>> found;
    for (const Fragment& fragment : tokens.split(text, false)) {
      found.emplace_back(fragment.text, fragment.token != kNoToken);
      if (fragment.token != kNoToken) REQUIRE(vocabulary.text(fragment.token) == fragment.text);
    }
    REQUIRE(found == (text.empty() ? decltype(found){} : split_slowly(longest_first, text)));
  }
}

}  // namespace shoal
