#include "text/tokenizer.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/model_files.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"
#include "tests/text/judged_cases.h"

namespace shoal {
namespace {

Tokenizer opened(Result<Tokenizer> tokenizer) {
  if (!tokenizer) FAIL(tokenizer.error().message());
  return *std::move(tokenizer);
}

Tokenizer opened_model(const std::string& path) {
  const Result<GgufFile> file = GgufFile::open(path);
  REQUIRE(file);
  return opened(Tokenizer::open(*file));
}

EditMetadata with_space_prefix(bool prefix) {
  return [prefix](GgufWriter& writer) {
    writer.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(prefix));
  };
}

TokenTables with_pre(TokenTables tables, const std::string& pre) {
  tables.pre = pre;
  return tables;
}

void check_cases(const Tokenizer& tokenizer, const JudgedCases& cases, bool text_comes_back = true) {
  for (const JudgedCase& one : cases) {
    CAPTURE(one.text);
    CAPTURE(one.special);
    const Result<std::vector<TokenId>> ids = tokenizer.encode(one.text, one.special);
    REQUIRE(ids);
    CHECK(*ids == one.ids);
    if (text_comes_back) CHECK(tokenizer.decode(*ids, true) == one.text);
  }
}

std::string random_bytes(Random& random, std::size_t max_length) {
  std::string bytes(random.below(max_length + 1), '\0');
  for (char& byte : bytes) byte = static_cast<char>(static_cast<std::uint8_t>(random.below(256)));
  return bytes;
}

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(tokenizer.encode(text, true));
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// A quadratic step would take minutes on any of these, and the slowest machine we know a second.
void check_worst_cases_are_not_quadratic(const Tokenizer& tokenizer) {
  constexpr std::size_t kBytes = kIsSlowRun ? 100'000 : 1'000'000;
  for (const char c : {'a', ' ', '\n', '1', '<', '!', '\xFF'}) {
    CAPTURE(c);
    CHECK(seconds_to_encode(tokenizer, std::string(kBytes, c)) < 10.0);
  }
  Random random(1);
  std::string bytes(kBytes, '\0');
  for (char& byte : bytes) byte = static_cast<char>(static_cast<std::uint8_t>(random.below(256)));
  CHECK(seconds_to_encode(tokenizer, bytes) < 10.0);
  for (char& byte : bytes) byte = " \t\r\n"[random.below(4)];
  CHECK(seconds_to_encode(tokenizer, bytes) < 10.0);
  for (char& byte : bytes) byte = static_cast<char>('a' + random.below(26));
  CHECK(seconds_to_encode(tokenizer, bytes) < 10.0);
}

}  // namespace

TEST_CASE("every text of the reference has its ids and comes back, on the real models") {
  const Judgement judgement = read_judgement();
  for (const auto& [name, cases] : read_reference()) {
    CAPTURE(name);
    REQUIRE(cases.size() >= 36);
    const std::optional<std::string> path = real_model(name.c_str());
    if (!path) continue;
    const Tokenizer tokenizer = opened_model(*path);
    check_cases(tokenizer, cases);
    check_cases(tokenizer, judgement.models.at(name));
    check_worst_cases_are_not_quadratic(tokenizer);
  }
}

TEST_CASE("the real models' control tokens and ends are those their makers gave them") {
  if (const auto path = real_model(kSmolLm2File)) {
    const Tokenizer tokenizer = opened_model(*path);
    CHECK(tokenizer.vocab_size() == 49152);
    CHECK(tokenizer.bos_text() == "<|im_start|>");
    CHECK(tokenizer.eos_text() == "<|im_end|>");
    CHECK_FALSE(tokenizer.adds_bos());
    CHECK(tokenizer.is_end_of_text(2));
    CHECK(tokenizer.is_end_of_text(0));  // <|endoftext|>
    CHECK_FALSE(tokenizer.is_end_of_text(1));
  }
  if (const auto path = real_model(kGemma3File)) {
    const Tokenizer tokenizer = opened_model(*path);
    CHECK(tokenizer.vocab_size() == 262144);
    CHECK(tokenizer.bos() == 2);
    CHECK(tokenizer.adds_bos());
    CHECK(tokenizer.is_end_of_text(1));
    CHECK(tokenizer.is_end_of_text(106));  // <end_of_turn>
    CHECK(tokenizer.is_control(105));
    CHECK_FALSE(tokenizer.is_control(107));  // a line end, which is user-defined
    Random random(2);
    for (int round = 0; round < 500; ++round) {
      const std::string bytes = random_bytes(random, 80);
      REQUIRE(tokenizer.decode(*tokenizer.encode(bytes, false), false) == bytes);
    }
  }
}

TEST_CASE("every byte-level pre-tokenizer gives the ids that an independent tokenizer gives") {
  const Judgement judgement = read_judgement();
  REQUIRE(judgement.bpe_cases.size() == 5);
  for (const auto& [pre, cases] : judgement.bpe_cases) {
    CAPTURE(pre);
    REQUIRE(cases.size() == 60);
    check_cases(opened(open_tokenizer(with_pre(judgement.bpe, pre))), cases);
  }
  // The same cases must tell the pre-tokenizers apart.
  const Tokenizer other = opened(open_tokenizer(with_pre(judgement.bpe, "gpt-2")));
  std::size_t different = 0;
  for (const JudgedCase& one : judgement.bpe_cases.at("qwen2")) {
    if (*other.encode(one.text, one.special) != one.ids) ++different;
  }
  CHECK(different > 10);
}

TEST_CASE("SentencePiece tables give the ids that an independent tokenizer gives") {
  const Judgement judgement = read_judgement();
  REQUIRE(judgement.spm_cases.size() == 60);
  check_cases(opened(open_tokenizer(judgement.spm, with_space_prefix(false))), judgement.spm_cases);
  const bool text_comes_back = false;  // it has a space before it now
  check_cases(opened(open_tokenizer(judgement.spm, with_space_prefix(true))),
              judgement.spm_cases_with_space_prefix, text_comes_back);
}

TEST_CASE("any bytes come back from their ids") {
  const Judgement judgement = read_judgement();
  Random random(4);
  for (const char* pre : {"smollm", "qwen2", "llama-bpe", "gpt-2", "default"}) {
    CAPTURE(pre);
    const Tokenizer tokenizer = opened(open_tokenizer(with_pre(judgement.bpe, pre)));
    for (int round = 0; round < 500; ++round) {
      const std::string bytes = random_bytes(random, 100);
      REQUIRE(tokenizer.decode(*tokenizer.encode(bytes, false), false) == bytes);
    }
  }
  const Tokenizer tokenizer = opened(open_tokenizer(judgement.spm, with_space_prefix(false)));
  for (int round = 0; round < 500; ++round) {
    const std::string bytes = random_bytes(random, 100);
    REQUIRE(tokenizer.decode(*tokenizer.encode(bytes, false), false) == bytes);
  }
}

TEST_CASE("a stream of single tokens gives the text") {
  const Judgement judgement = read_judgement();
  const Tokenizer tokenizer = opened(open_tokenizer(with_pre(judgement.bpe, "qwen2")));
  for (const JudgedCase& one : judgement.bpe_cases.at("qwen2")) {
    TextStream stream;
    std::string given;
    for (const TokenId id : one.ids) given += stream.push(tokenizer.piece(id, true));
    CHECK(stream.flush().empty());
    CHECK(given == one.text);
  }
}

TEST_CASE("plain text never becomes a control token") {
  // Merges and scores that would build the control token's text, letter by letter.
  TokenTables spm = sentence_piece_tables();
  spm.add("<s", 1, 0.0f);
  spm.add("<s>", 3, 0.0f);
  const Tokenizer tokenizer = opened(open_tokenizer(spm, with_space_prefix(false)));
  CHECK(*tokenizer.encode("<s>", false) == std::vector<TokenId>{spm.id_of("<s"), '>'});
  CHECK(*tokenizer.encode("<s>", true) == std::vector<TokenId>{spm.id_of("<s>")});

  TokenTables bpe = byte_level_tables("llama-bpe");
  bpe.add("stop", 3);
  CHECK(*opened(open_tokenizer(bpe)).encode("stop", false) ==
        std::vector<TokenId>{bpe.id_of("s"), bpe.id_of("t"), bpe.id_of("o"), bpe.id_of("p")});
}

TEST_CASE(
    "control tokens are shown only where asked, unused ones likewise, and ids out of range are nothing") {
  TokenTables tables = byte_level_tables("gpt-2");
  const TokenId control = tables.add("<|im_end|>", 3);
  const TokenId unused = tables.add("[PAD]", 5);
  const TokenId defined = tables.add("caf\xC3\xA9 <tool>", 4);  // written as it is, not in the byte alphabet
  const Tokenizer tokenizer = opened(open_tokenizer(tables));
  const std::vector<TokenId> ids = {tables.id_of("a"), control, unused, defined, -1, 1'000'000};
  CHECK(tokenizer.decode(ids, false) == "acaf\xC3\xA9 <tool>");
  CHECK(tokenizer.decode(ids, true) == "a<|im_end|>[PAD]caf\xC3\xA9 <tool>");
  CHECK(tokenizer.is_control(control));
  CHECK_FALSE(tokenizer.is_control(unused));
  CHECK_FALSE(tokenizer.is_control(-1));
  CHECK_FALSE(tokenizer.is_end_of_text(-1));
  CHECK(tokenizer.bos_text().empty());
  CHECK(*tokenizer.encode("caf\xC3\xA9 <tool>", false) == std::vector<TokenId>{defined});
}

TEST_CASE("whether bos is added is the file's word, and else its kind's custom") {
  const auto adds_bos = [](TokenTables tables, std::optional<bool> asked) {
    tables.add("<s>", 3);
    const auto id = static_cast<std::uint32_t>(tables.id_of("<s>"));
    const Tokenizer tokenizer = opened(open_tokenizer(tables, [&](GgufWriter& writer) {
      writer.set("tokenizer.ggml.bos_token_id", GgufValue::u32(id));
      if (asked) writer.set("tokenizer.ggml.add_bos_token", GgufValue::boolean(*asked));
    }));
    CHECK(tokenizer.bos_text() == "<s>");
    return tokenizer.adds_bos();
  };
  CHECK(adds_bos(sentence_piece_tables(), std::nullopt));
  CHECK_FALSE(adds_bos(sentence_piece_tables(), false));
  CHECK_FALSE(adds_bos(byte_level_tables("gpt-2"), std::nullopt));
  CHECK(adds_bos(byte_level_tables("gpt-2"), true));
  CHECK(adds_bos(byte_level_tables("llama-bpe"), std::nullopt));
  CHECK_FALSE(adds_bos(byte_level_tables("llama-bpe"), false));
}

TEST_CASE("a text ends at the tokens the keys name and at the control tokens everybody knows") {
  TokenTables tables = byte_level_tables("");
  const TokenId end = tables.add("<stop>", 3);
  const TokenId turn = tables.add("<turn>", 3);
  const TokenId known = tables.add("<|eot_id|>", 3);
  const TokenId plain = tables.add("<|end|>", 1);  // known by its text, but not a control token here
  const Tokenizer tokenizer = opened(open_tokenizer(tables, [&](GgufWriter& writer) {
    writer.set("tokenizer.ggml.eos_token_id", GgufValue::u32(static_cast<std::uint32_t>(end)));
    writer.set("tokenizer.ggml.eot_token_id", GgufValue::u32(static_cast<std::uint32_t>(turn)));
  }));
  CHECK(tokenizer.eos() == end);
  CHECK(tokenizer.eos_text() == "<stop>");
  CHECK(tokenizer.is_end_of_text(end));
  CHECK(tokenizer.is_end_of_text(turn));
  CHECK(tokenizer.is_end_of_text(known));
  CHECK_FALSE(tokenizer.is_end_of_text(plain));
}

TEST_CASE("a byte the vocabulary lacks is left out and merges nothing across it") {
  TokenTables tables = byte_level_tables("gpt-2");
  tables.tokens[0xF1] = "ab";  // in the place of the byte F1
  tables.merges = {"a b"};
  const Tokenizer tokenizer = opened(open_tokenizer(tables));
  const std::vector<TokenId> ids = *tokenizer.encode("x\xF1y\xF1", false);
  CHECK(tokenizer.decode(ids, false) == "xy");
  const std::optional<Tokenizer::LeftOut> lost = tokenizer.left_out("x\xF1y\xF1", ids);
  REQUIRE(lost);
  CHECK(lost->first == 1);
  CHECK(lost->count == 2);
  CHECK_FALSE(tokenizer.left_out("xy\xFF", *tokenizer.encode("xy\xFF", false)));
  CHECK(*tokenizer.encode("ab", false) == std::vector<TokenId>{0xF1});
}

TEST_CASE("a text beyond the limit is refused with both numbers") {
  const Tokenizer tokenizer = opened(open_tokenizer(byte_level_tables("")));
  const Result<std::vector<TokenId>> ids = tokenizer.encode(std::string((64u << 20) + 1, 'a'), false);
  REQUIRE_FALSE(ids);
  CHECK(ids.error().code() == ErrorCode::InvalidArgument);
  CHECK(ids.error().message().find("67108865") != std::string::npos);
  CHECK(ids.error().message().find("64 MiB") != std::string::npos);
}

TEST_CASE("threads share a tokenizer") {
  const Judgement judgement = read_judgement();
  const Tokenizer tokenizer = opened(open_tokenizer(with_pre(judgement.bpe, "default")));
  std::vector<std::size_t> wrong(4, 0);
  std::vector<std::thread> threads;
  for (std::size_t& mine : wrong) {
    threads.emplace_back([&] {
      for (const JudgedCase& one : judgement.bpe_cases.at("default")) {
        if (*tokenizer.encode(one.text, one.special) != one.ids) ++mine;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == std::vector<std::size_t>(4, 0));
}

TEST_CASE("worst cases are not quadratic for any pre-tokenizer") {
  const Judgement judgement = read_judgement();
  for (const char* pre : {"smollm", "qwen2", "llama-bpe", "gpt-2", "default"}) {
    CAPTURE(pre);
    check_worst_cases_are_not_quadratic(opened(open_tokenizer(with_pre(judgement.bpe, pre))));
  }
  check_worst_cases_are_not_quadratic(opened(open_tokenizer(judgement.spm)));
}

}  // namespace shoal
