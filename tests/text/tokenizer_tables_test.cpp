// Damaged and odd tables: each is an error that names the key, and none is a crash.
#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "tests/support/random.h"
#include "tests/text/token_tables.h"

namespace shoal {
namespace {

constexpr std::uint32_t kFarOff = 1'000'000;

// The error's message, which must be of the code and hold every one of `words`.
void check_refused(const TokenTables& tables, ErrorCode code, const std::vector<std::string>& words,
                   const EditMetadata& edit = kNoEdit) {
  const Result<Tokenizer> tokenizer = open_tokenizer(tables, edit);
  REQUIRE_FALSE(tokenizer);
  CAPTURE(tokenizer.error().message());
  CHECK(tokenizer.error().code() == code);
  for (const std::string& word : words) {
    CAPTURE(word);
    CHECK(tokenizer.error().message().find(word) != std::string::npos);
  }
}

EditMetadata set(const std::string& key, const GgufValue& value) {
  return [=](GgufWriter& writer) { writer.set(key, value); };
}

}  // namespace

TEST_CASE("a kind of tokenizer nobody knows is refused by name") {
  TokenTables tables = byte_level_tables("");
  tables.model = "bert";
  check_refused(tables, ErrorCode::Unsupported, {"tokenizer.ggml.model", "\"bert\"", "gpt2", "llama"});
  tables.model = "";
  check_refused(tables, ErrorCode::Unsupported, {"tokenizer.ggml.model"});
  check_refused(byte_level_tables("superbpe"), ErrorCode::Unsupported,
                {"tokenizer.ggml.pre", "\"superbpe\"", "llama-bpe"});
}

TEST_CASE("damaged token lists are refused") {
  TokenTables tables = byte_level_tables("");
  SUBCASE("none") {
    tables.tokens.clear();
    tables.types.clear();
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens", "0 tokens"});
  }
  SUBCASE("repeated") {
    tables.add("a");
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens[256]", "repeats", "97"});
  }
  SUBCASE("not UTF-8") {
    tables.add("\xFF");
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens[256]", "UTF-8"});
  }
  SUBCASE("too long") {
    tables.add(std::string(5000, 'a'));
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens[256]", "4,096"});
  }
  SUBCASE("not strings") {
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens", "array of strings"},
                  set("tokenizer.ggml.tokens", GgufValue::u32(7)));
  }
  SUBCASE("no bytes among them") {
    tables = TokenTables{
        .model = "gpt2", .pre = "", .tokens = {"hello"}, .types = {1}, .scores = {}, .merges = {}};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens", "single-byte"});
  }
}

TEST_CASE("damaged token types are refused, and no types at all means plain tokens") {
  TokenTables tables = byte_level_tables("");
  SUBCASE("too few") {
    tables.types.pop_back();
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.token_type", "255", "256"});
  }
  SUBCASE("unknown") {
    tables.types[3] = 9;
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.token_type[3]", "9"});
    tables.types[3] = -1;
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.token_type[3]", "-1"});
  }
  SUBCASE("ill-typed") {
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.token_type", "array of integers"},
                  set("tokenizer.ggml.token_type", GgufValue::string("normal")));
  }
  SUBCASE("none") {
    tables.types.clear();
    CHECK(open_tokenizer(tables));
  }
}

TEST_CASE("damaged merges are refused") {
  TokenTables tables = byte_level_tables("");
  SUBCASE("missing") {
    TokenTables without = tables;
    without.model = "llama";  // so that none are written
    check_refused(without, ErrorCode::Corrupt, {"tokenizer.ggml.merges", "missing"},
                  set("tokenizer.ggml.model", GgufValue::string("gpt2")));
  }
  SUBCASE("one word") {
    tables.merges = {"ab"};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]", "\"ab\""});
    tables.merges = {""};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]"});
    tables.merges = {" "};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]"});
  }
  SUBCASE("an unknown part") {
    tables.merges = {"a zz"};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]", "part"});
  }
  SUBCASE("an unknown result") {
    tables.merges = {"a b"};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]", "no token"});
  }
  SUBCASE("a control token") {
    tables.add("ab", 3);
    tables.merges = {"a b"};
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.merges[0]", "control"});
  }
}

TEST_CASE("damaged scores and byte tokens are refused") {
  TokenTables tables = sentence_piece_tables();
  SUBCASE("no scores") {
    tables.scores.clear();
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.scores", "missing"});
  }
  SUBCASE("too few scores") {
    tables.scores.pop_back();
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.scores", "255", "256"});
  }
  SUBCASE("no number") {
    tables.scores[5] = std::numeric_limits<float>::quiet_NaN();
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.scores[5]"});
  }
  SUBCASE("a byte without a token") {
    tables.tokens[0x41] = "A";
    tables.types[0x41] = 1;
    check_refused(tables, ErrorCode::Corrupt, {"tokenizer.ggml.tokens", "<0x41>", "unknown_token_id"});
    // With a token to stand in for it the file is whole.
    const TokenId unknown = tables.add("<unk>", 2);
    const Result<Tokenizer> tokenizer = open_tokenizer(tables, [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(static_cast<std::uint32_t>(unknown)));
      writer.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(false));
    });
    REQUIRE(tokenizer);
    CHECK(*tokenizer->encode("BA\xC3\x41", false) == std::vector<TokenId>{0x42, 0x41, 0xC3, 0x41});
  }
}

TEST_CASE("ids that name no token are refused by their keys") {
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id",
                          "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    check_refused(byte_level_tables(""), ErrorCode::Corrupt, {key, "1000000", "256"},
                  set(key, GgufValue::u32(kFarOff)));
    check_refused(byte_level_tables(""), ErrorCode::Corrupt, {key, "-1"}, set(key, GgufValue::i32(-1)));
    check_refused(byte_level_tables(""), ErrorCode::Corrupt, {key, "integer"},
                  set(key, GgufValue::string("</s>")));
  }
  check_refused(byte_level_tables(""), ErrorCode::Corrupt, {"add_bos_token", "bos_token_id"},
                set("tokenizer.ggml.add_bos_token", GgufValue::boolean(true)));
  check_refused(byte_level_tables(""), ErrorCode::Corrupt, {"tokenizer.ggml.add_bos_token", "bool"},
                set("tokenizer.ggml.add_bos_token", GgufValue::string("yes")));
}

TEST_CASE("empty tokens are kept and never found") {
  TokenTables tables = byte_level_tables("");
  tables.add("", 1);
  tables.add("", 4);
  const Result<Tokenizer> tokenizer = open_tokenizer(tables);
  REQUIRE(tokenizer);
  CHECK(tokenizer->vocab_size() == 258);
  CHECK(tokenizer->piece(257, true).empty());
  CHECK(tokenizer->encode("ab", true)->size() == 2);
}

TEST_CASE("randomly damaged tables are refused or work, and never crash") {
  Random random(77);
  std::size_t refused = 0;
  for (int round = 0; round < 300; ++round) {
    TokenTables tables = round % 2 == 0 ? byte_level_tables("qwen2") : sentence_piece_tables();
    tables.add("ab");
    tables.add("abc");
    if (round % 2 == 0) tables.merges = {"a b", "ab c"};
    for (std::uint64_t damage = random.below(3); damage > 0; --damage) {
      const std::size_t at = random.below(tables.tokens.size());
      switch (random.below(5)) {
        case 0:
          tables.types[at] = static_cast<std::int32_t>(random.below(7));
          break;
        case 1:
          tables.tokens[at] = tables.tokens[random.below(tables.tokens.size())];
          break;
        case 2:
          tables.tokens[at].assign(random.below(4),
                                   static_cast<char>(static_cast<std::uint8_t>(random.below(256))));
          break;
        case 3:
          tables.merges.push_back(tables.tokens[at] + " " +
                                  tables.tokens[random.below(tables.tokens.size())]);
          break;
        default:
          tables.types.resize(random.below(tables.types.size()) + 1);
      }
      tables.types.resize(std::max<std::size_t>(tables.types.size(), 1), 1);
      if (at >= tables.types.size()) break;
    }
    const Result<Tokenizer> tokenizer = open_tokenizer(tables);
    if (!tokenizer) {
      ++refused;
      continue;
    }
    const Result<std::vector<TokenId>> ids = tokenizer->encode("abc ab\xFF\xE4 <tool>", true);
    REQUIRE(ids);
    tokenizer->decode(*ids, true);
  }
  CHECK(refused > 30);
  CHECK(refused < 270);
}

}  // namespace shoal
