#include <doctest/doctest.h>

#include <algorithm>

#include "model/kv_budget.h"
#include "tests/model/stage_chain.h"
#include "tests/support/random.h"

namespace shoal {
namespace {

constexpr SequenceId kOne{1};

TinyModelOptions windowed() {
  TinyModelOptions options = TinyModelOptions::for_architecture(Architecture::Gemma3);
  options.sliding_window = 40;
  return options;
}

}  // namespace

TEST_CASE("a sequence cut back and appended again gives the same bits") {
  for (Architecture architecture : {Architecture::Llama, Architecture::Gemma3}) {
    TinyModelOptions options = TinyModelOptions::for_architecture(architecture);
    options.sliding_window = 40;
    const TinyModel model(21, options);
    const std::vector<TokenId> ids = random_ids(4, 200, model.config().vocab_size);
    const std::vector<TokenId> other = random_ids(5, 200, model.config().vocab_size);
    StageChain straight(model);
    const std::vector<CandidateRow> expected = straight.append(kOne, 0, ids, 50);

    StageChain chain(model, {.cuts = {3}});
    Random random(6);
    std::uint32_t length = 0;
    while (length <
           200) {  // every step drafts wrong tokens first; some of them stand where right ones follow
      const std::uint32_t rows =
          std::min<std::uint32_t>(1 + static_cast<std::uint32_t>(random.below(40)), 200 - length);
      chain.append(kOne, length, std::span(other).first(rows), rows);
      const std::uint32_t right = 1 + static_cast<std::uint32_t>(random.below(rows));
      const std::vector<CandidateRow> got =
          chain.append(kOne, length, std::span(ids).subspan(length, right), right);
      CHECK(same_answers(got, std::span(expected).subspan(length, right)));
      length += right;
    }
    CHECK(chain.stage(0).length(kOne) == 200);
    const std::vector<CandidateRow> replayed = chain.append(kOne, 0, ids, 64);
    CHECK(same_answers(replayed, expected));
  }
}

TEST_CASE("a windowed layer holds the blocks kv_blocks_needed says, and all come back") {
  const TinyModel model(22, windowed());
  const std::vector<KvKind> kinds = kv_kinds(model.config());
  REQUIRE(kinds.size() == 2);
  CHECK(kinds[0].window == 40);
  CHECK(kinds[1].window == 0);
  StageChain chain(model, {.blocks_per_kind = 25});
  const std::vector<TokenId> ids = random_ids(7, 600, model.config().vocab_size);
  Random random(8);
  std::uint32_t length = 0;
  while (length < 600) {
    const std::uint32_t rows =
        std::min<std::uint32_t>(1 + static_cast<std::uint32_t>(random.below(70)), 600 - length);
    chain.append(kOne, length, std::span(ids).subspan(length, rows), rows);
    length += rows;
    const std::vector<std::uint32_t> free = chain.stage(0).free_kv_blocks();
    CHECK(free[0] == 25 - kv_blocks_needed(kinds[0], length, rows));
    CHECK(free[1] == 25 - kv_blocks_needed(kinds[1], length, rows));
  }
  chain.close(kOne);
  CHECK(chain.stage(0).free_kv_blocks() == std::vector<std::uint32_t>{25, 25});
}

TEST_CASE("a cut behind what a window released is refused, and a replay from the start is not") {
  const TinyModel model(22, windowed());
  StageChain chain(model);
  const std::vector<TokenId> ids = random_ids(9, 200, model.config().vocab_size);
  const std::vector<CandidateRow> expected = chain.append(kOne, 0, ids, 20);
  const RowGroup far_back{.sequence = kOne, .first_position = 60, .num_rows = 1, .flags = kWantsLastRow};
  StageOutput output;
  const Status refused =
      chain.stage(0).run({{&far_back, 1}, std::span(ids).first(1), nullptr, {}, {}}, output);
  REQUIRE(!refused);
  CHECK(refused.error().code() == ErrorCode::InvalidArgument);
  CHECK(chain.stage(0).length(kOne) == 200);
  CHECK(same_answers(chain.append(kOne, 0, ids, 20), expected));
}

TEST_CASE("blocks are counted as the window moves: brute force over positions") {
  for (std::uint32_t window : {0u, 1u, 2u, 31u, 32u, 33u, 40u, 64u, 100u}) {
    const KvKind kind{window, {}};
    for (std::uint32_t length = 1; length < 200; length += 3) {
      for (std::uint32_t chunk = 1; chunk <= length; chunk += 5) {
        std::vector<bool> held(10, false);
        for (std::uint32_t row = length - chunk; row < length; ++row)
          for (std::uint32_t j = 0; j <= row; ++j)
            if (window == 0 || row - j < window) held[j / 32] = true;
        const auto expected = static_cast<std::uint32_t>(std::count(held.begin(), held.end(), true));
        CAPTURE(window);
        CAPTURE(length);
        CAPTURE(chunk);
        REQUIRE(kv_blocks_needed(kind, length, chunk) == expected);
      }
    }
  }
}

}  // namespace shoal
