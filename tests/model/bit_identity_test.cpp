#include <doctest/doctest.h>

#include "tests/model/stage_chain.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

constexpr SequenceId kOne{1};
struct Case {
  Architecture architecture;
  KvType kv_type;
};
constexpr Case kCases[] = {{Architecture::Llama, KvType::F16}, {Architecture::Qwen2, KvType::F16},
                           {Architecture::Qwen3, KvType::F16}, {Architecture::Gemma3, KvType::F16},
                           {Architecture::Llama, KvType::Q8},  {Architecture::Gemma3, KvType::Q8}};

// Long enough for several attention chunks and, for gemma's window, several released blocks.
TinyModelOptions options_for(Architecture architecture) {
  TinyModelOptions options = several_head_blocks(TinyModelOptions::for_architecture(architecture));
  options.sliding_window = 40;
  return options;
}

std::vector<CandidateRow> whole_answer(const TinyModel& model, std::span<const TokenId> ids,
                                       KvType kv_type = KvType::F16) {
  StageChain whole(model, {.kv_type = kv_type});
  return whole.append(kOne, 0, ids, 64);
}

}  // namespace

TEST_CASE("keys and values in q8 give other bits than in f16") {
  const TinyModel model(11, options_for(Architecture::Llama));
  const std::vector<TokenId> ids = random_ids(1, 20, model.config().vocab_size);
  CHECK(!same_answers(whole_answer(model, ids, KvType::Q8), whole_answer(model, ids)));
}

TEST_CASE("a model cut into stages anywhere gives the whole model's bits") {
  for (const auto& [architecture, kv_type] : kCases) {
    CAPTURE(name_of(architecture));
    CAPTURE(doctest::String(name_of(kv_type)));
    const TinyModel model(11, options_for(architecture));
    const std::vector<TokenId> ids = random_ids(1, 90, model.config().vocab_size);
    const std::vector<CandidateRow> expected = whole_answer(model, ids, kv_type);
    REQUIRE(expected.size() == ids.size());
    const std::uint32_t units = model.config().num_units();
    for (std::uint32_t cut = 1; cut < units; ++cut) {
      CAPTURE(cut);
      StageChain chain(model, {.cuts = {cut}, .kv_type = kv_type});
      CHECK(same_answers(chain.append(kOne, 0, ids, 64), expected));
    }
    for (const auto& cuts :
         {std::vector<std::uint32_t>{2, 5}, {1, units - 1}, {1, 3, 4, units - 1}, {2, 3, 4, 5}}) {
      StageChain chain(model, {.cuts = cuts, .kv_type = kv_type});
      CHECK(chain.num_stages() == cuts.size() + 1);
      CHECK(same_answers(chain.append(kOne, 0, ids, 64), expected));
    }
  }
}

TEST_CASE("a head split into slices says what the whole head says") {
  for (bool tied : {true, false}) {
    TinyModelOptions options = options_for(Architecture::Llama);
    options.tied_head = tied;
    const TinyModel model(12, options);
    const std::vector<TokenId> ids = random_ids(2, 40, model.config().vocab_size);
    const std::vector<CandidateRow> expected = whole_answer(model, ids);
    for (std::uint32_t slices : {2, 3}) {
      StageChain chain(model, {.cuts = {3}, .head_slices = slices});
      CHECK(same_answers(chain.append(kOne, 0, ids, 17), expected));
    }
  }
}

TEST_CASE("neither chunks nor threads nor the instruction set change a bit") {
  for (const auto& [architecture, kv_type] : kCases) {
    CAPTURE(name_of(architecture));
    CAPTURE(doctest::String(name_of(kv_type)));
    const TinyModel model(13, options_for(architecture));
    const std::vector<TokenId> ids = random_ids(3, kIsSlowRun ? 110 : 520, model.config().vocab_size);
    const std::vector<CandidateRow> expected = whole_answer(model, ids, kv_type);
    for (std::uint32_t chunk : {1, 7, 512}) {
      CAPTURE(chunk);
      StageChain chain(model, {.kv_type = kv_type, .num_threads = 2});
      CHECK(same_answers(chain.append(kOne, 0, ids, chunk), expected));
    }
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(kernels->name);
      StageChain chain(model, {.kv_type = kv_type, .kernels = kernels});
      CHECK(
          same_answers(chain.append(kOne, 0, std::span(ids).first(100), 33), std::span(expected).first(100)));
    }
  }
}

TEST_CASE("a sequence among sixteen others, in any order, gives the bits it gives alone") {
  const TinyModel model(14, options_for(Architecture::Gemma3));
  KvType kv_type = KvType::F16;
  SUBCASE("with keys and values in f16") {}
  SUBCASE("with keys and values in q8") { kv_type = KvType::Q8; }
  StageChain chain(model, {.cuts = {4}, .kv_type = kv_type, .num_threads = 2});
  constexpr std::size_t kSequences = 17;
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::vector<CandidateRow>> alone;
  for (std::size_t s = 0; s < kSequences; ++s) {
    prompts.push_back(random_ids(100 + s, 30 + 7 * s, model.config().vocab_size));
    alone.push_back(whole_answer(model, prompts.back(), kv_type));
  }
  std::vector<std::size_t> done(kSequences, 0);
  std::vector<bool> right(kSequences, true);
  for (std::size_t round = 0; round < 60; ++round) {
    std::vector<RowGroup> groups;
    std::vector<TokenId> ids;
    for (std::size_t i = 0; i < kSequences; ++i) {
      const std::size_t s = (i * 5 + round) % kSequences;  // another order in every round
      const std::size_t rows = std::min<std::size_t>(prompts[s].size() - done[s], 1 + (s + round) % 9);
      if (rows == 0) continue;
      groups.push_back({.sequence = SequenceId{s},
                        .first_position = static_cast<std::uint32_t>(done[s]),
                        .num_rows = static_cast<std::uint32_t>(rows),
                        .flags = kWantsAllRows | kWantsDigest});
      ids.insert(ids.end(), prompts[s].begin() + static_cast<std::ptrdiff_t>(done[s]),
                 prompts[s].begin() + static_cast<std::ptrdiff_t>(done[s] + rows));
    }
    if (groups.empty()) break;
    const std::vector<CandidateRow> rows = chain.run(groups, ids);
    std::size_t row = 0;
    for (const RowGroup& group : groups) {
      const auto s = static_cast<std::size_t>(raw(group.sequence));
      for (std::uint32_t i = 0; i < group.num_rows; ++i, ++row) {
        CandidateRow expected = alone[s][done[s]++];
        expected.sequence = group.sequence;
        right[s] = right[s] && same_answers({&rows[row], 1}, {&expected, 1});
      }
    }
  }
  for (std::size_t s = 0; s < kSequences; ++s) {
    CAPTURE(s);
    CHECK(done[s] == prompts[s].size());
    CHECK(right[s]);
  }
}

}  // namespace shoal
