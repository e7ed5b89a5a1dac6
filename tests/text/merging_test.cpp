// Both merging algorithms against twins that do the obvious thing in quadratic time, on random small
// vocabularies.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/random.h"
#include "tests/text/token_tables.h"

namespace shoal {
namespace {

std::string random_text(Random& random, std::size_t max_length, std::string_view alphabet) {
  std::string text(random.below(max_length) + 1, ' ');
  for (char& c : text) c = alphabet[random.below(alphabet.size())];
  return text;
}

// Joins the leftmost of the best adjacent pairs until there is none; `rank` gives a pair's place, or -1.
template <typename Rank>
std::vector<std::string> merge_slowly(std::vector<std::string> symbols, Rank rank) {
  while (true) {
    int best = -1;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const int place = rank(symbols[i], symbols[i + 1]);
      if (place >= 0 && (best < 0 || place < best)) best = place, at = i;
    }
    if (best < 0) return symbols;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

std::vector<std::string> letters_of(const std::string& text) {
  std::vector<std::string> letters;
  for (const char c : text) letters.emplace_back(1, c);
  return letters;
}

}  // namespace

TEST_CASE("byte-level merging gives what merging the best pair again and again gives") {
  Random random(21);
  for (int round = 0; round < 60; ++round) {
    TokenTables tables = byte_level_tables("gpt-2");
    std::map<std::pair<std::string, std::string>, int> ranks;
    std::vector<std::string> known = {"a", "b", "c", "d"};
    while (ranks.size() < 40) {
      const std::string left = known[random.below(known.size())];
      const std::string right = known[random.below(known.size())];
      if (left.size() + right.size() > 9 || ranks.contains({left, right})) continue;
      ranks.emplace(std::pair(left, right), static_cast<int>(ranks.size()));
      tables.merges.push_back(left + " " + right);
      if (tables.id_of(left + right) < 0) tables.add(left + right), known.push_back(left + right);
    }
    const Result<Tokenizer> tokenizer = open_tokenizer(tables);
    REQUIRE(tokenizer);
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(random, 80, "abcd");
      CAPTURE(text);
      std::vector<TokenId> expected;
      const auto rank = [&](const std::string& left, const std::string& right) {
        const auto found = ranks.find({left, right});
        return found == ranks.end() ? -1 : found->second;
      };
      for (const std::string& symbol : merge_slowly(letters_of(text), rank))
        expected.push_back(tables.id_of(symbol));
      REQUIRE(*tokenizer->encode(text, false) == expected);
    }
  }
}

TEST_CASE(
    "SentencePiece merging gives what merging the best pair again and again gives, wherever the text is "
    "cut") {
  Random random(22);
  for (int round = 0; round < 60; ++round) {
    TokenTables tables = sentence_piece_tables();
    for (int i = 0; i < 40; ++i) {
      const std::string token = random_text(random, 6, random.below(2) == 0 ? "ab_c" : "xyz");
      // Few different scores, so that ties come up; no underscore alone, so that bytes come up.
      if (tables.id_of(token) < 0 && token != "_")
        tables.add(token, 1, -static_cast<float>(random.below(12)));
    }
    const Result<Tokenizer> tokenizer = open_tokenizer(tables, [](GgufWriter& writer) {
      writer.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(false));
    });
    REQUIRE(tokenizer);
    for (int i = 0; i < 20; ++i) {
      const std::string text = random_text(random, 80, "ab_cxyz");
      CAPTURE(text);
      const auto rank = [&](const std::string& left, const std::string& right) {
        const std::int32_t id = tables.id_of(left + right);
        return id < 0 ? -1 : static_cast<int>(-tables.scores[static_cast<std::size_t>(id)]);
      };
      std::vector<TokenId> expected;
      for (const std::string& symbol : merge_slowly(letters_of(text), rank)) {
        const std::int32_t id = tables.id_of(symbol);
        expected.push_back(
            id >= 0 ? id
                    : static_cast<TokenId>(static_cast<unsigned char>(symbol[0])));  // <0xNN> is token NN
      }
      REQUIRE(*tokenizer->encode(text, false) == expected);
    }
  }
}

}  // namespace shoal
