#include <doctest/doctest.h>

#include "tests/model/stage_chain.h"
#include "tests/support/random.h"

namespace shoal {
namespace {

constexpr SequenceId kOne{1};
constexpr SequenceId kTwo{2};

TinyModelOptions options_for(Architecture architecture) {
  TinyModelOptions options = TinyModelOptions::for_architecture(architecture);
  options.sliding_window = 40;
  return options;
}

// Copies positions of `from`'s sequence to `to`'s, stage by stage.
void copy_kv(StageChain& from, StageChain& to, SequenceId sequence, Range positions) {
  for (std::size_t s = 0; s < from.num_stages(); ++s) {
    const Result<std::vector<std::byte>> exported = from.stage(s).export_kv(kOne, positions);
    REQUIRE(exported);
    const Status imported = to.stage(s).import_kv(sequence, *exported);
    if (!imported) FAIL(imported.error().message());
  }
}

bool equal_but_for_sequence(std::vector<CandidateRow> a, std::span<const CandidateRow> b) {
  for (CandidateRow& row : a) row.sequence = kOne;
  return same_answers(a, b);
}

}  // namespace

TEST_CASE("a sequence goes on elsewhere from its exported KV with the same bits") {
  for (Architecture architecture : {Architecture::Llama, Architecture::Gemma3}) {
    const TinyModel model(51, options_for(architecture));
    const std::vector<TokenId> ids = random_ids(11, 230, model.config().vocab_size);
    StageChain straight(model);
    const std::vector<CandidateRow> expected = straight.append(kOne, 0, ids, 64);
    StageChain from(model, {.cuts = {3}});
    StageChain to(model, {.cuts = {3}});
    to.append(SequenceId{9}, 0, std::span(ids).first(50), 50);  // so that block numbers differ
    from.append(kOne, 0, std::span(ids).first(201), 30);

    SUBCASE("in one piece") { copy_kv(from, to, kTwo, Range{0, 201}); }
    SUBCASE("in pieces of any size, some of them again") {
      StageChain source(model, {.cuts = {3}});
      std::uint32_t done = 0;
      for (std::uint32_t next : {1u, 32u, 33u, 90u, 128u, 201u}) {
        source.append(kOne, done, std::span(ids).subspan(done, next - done), 64);
        copy_kv(source, to, kTwo, Range{done, next});
        copy_kv(source, to, kTwo, Range{next - 1, next});
        done = next;
      }
    }
    CHECK(to.stage(0).length(kTwo) == 201);
    const std::vector<CandidateRow> rest = to.append(kTwo, 201, std::span(ids).subspan(201), 10);
    CHECK(equal_but_for_sequence(rest, std::span(expected).subspan(201)));
    to.close(kTwo);
    to.close(SequenceId{9});
    for (std::uint32_t free : to.stage(1).free_kv_blocks()) CHECK(free == 400);
  }
}

TEST_CASE("penalties see the ids that came with imported KV") {
  const TinyModel model(52);
  const std::vector<TokenId> ids = random_ids(12, 60, model.config().vocab_size);
  StageChain from(model);
  StageChain to(model);
  from.append(kOne, 0, std::span(ids).first(59), 64);
  copy_kv(from, to, kOne, Range{0, 59});
  SamplingParams params{
      .temperature = 0, .repeat_penalty = 1.7f, .presence_penalty = 3, .top_logprobs = 5, .logit_bias = {}};
  const SamplingParams* sampling = &params;
  const RowGroup last{.sequence = kOne, .first_position = 59, .num_rows = 1, .flags = kWantsLastRow};
  CHECK(same_answers(from.run({&last, 1}, std::span(ids).last(1), {&sampling, 1}),
                     to.run({&last, 1}, std::span(ids).last(1), {&sampling, 1})));
}

TEST_CASE("garbage, damage and foreign shapes are refused and change nothing") {
  const TinyModel model(53, options_for(Architecture::Gemma3));
  const std::vector<TokenId> ids = random_ids(13, 100, model.config().vocab_size);
  StageChain from(model);
  StageChain to(model, {.max_context = 90});
  from.append(kOne, 0, ids, 64);
  to.append(kTwo, 0, std::span(ids).first(40), 64);
  const std::vector<std::uint32_t> free = to.stage(0).free_kv_blocks();
  const auto refused_as = [&](StageChain& chain, Bytes bytes) {
    const Status imported = chain.stage(0).import_kv(kTwo, bytes);
    REQUIRE(!imported);
    CHECK(to.stage(0).length(kTwo) == 40);
    CHECK(to.stage(0).free_kv_blocks() == free);
    return imported.error().code();
  };
  const std::vector<std::byte> good = *from.stage(0).export_kv(kOne, Range{10, 64});

  CHECK(refused_as(to, {}) == ErrorCode::Corrupt);
  for (std::size_t size = 1; size < good.size(); size += 37)
    CHECK(refused_as(to, Bytes(good).first(size)) == ErrorCode::Corrupt);
  Random random(14);
  for (int i = 0; i < 300; ++i) {
    std::vector<std::byte> damaged = good;
    damaged[random.below(i < 150 ? 64 : damaged.size())] ^=
        std::byte{static_cast<unsigned char>(1 + random.below(255))};
    CHECK(refused_as(to, damaged) == ErrorCode::Corrupt);
  }
  CHECK(refused_as(to, *from.stage(0).export_kv(kOne, Range{0, 100})) ==
        ErrorCode::InvalidArgument);  // 90 fit
  CHECK(refused_as(to, *from.stage(0).export_kv(kOne, Range{41, 60})) ==
        ErrorCode::InvalidArgument);  // a gap before it
  StageChain other_cut(model, {.cuts = {4}});
  other_cut.append(kOne, 0, ids, 64);
  CHECK(refused_as(to, *other_cut.stage(0).export_kv(kOne, Range{0, 64})) == ErrorCode::InvalidArgument);
  CHECK(!from.stage(0).export_kv(kOne, Range{50, 101}));
  CHECK(!from.stage(0).export_kv(kOne, Range{50, 50}));
  CHECK(!from.stage(0).export_kv(SequenceId{77}, Range{0, 1}));
  CHECK(to.stage(0).import_kv(kTwo, good));
  CHECK(to.stage(0).length(kTwo) == 64);
}

TEST_CASE("KV that finds no block free is refused and changes nothing") {
  const TinyModel model(54);
  const std::vector<TokenId> ids = random_ids(15, 160, model.config().vocab_size);
  StageChain from(model);
  StageChain to(model, {.blocks_per_kind = 4});
  from.append(kOne, 0, ids, 64);
  to.append(kTwo, 0, std::span(ids).first(40), 64);
  const Status imported = to.stage(0).import_kv(kTwo, *from.stage(0).export_kv(kOne, Range{32, 160}));
  REQUIRE(!imported);
  CHECK(imported.error().code() == ErrorCode::OutOfMemory);
  CHECK(to.stage(0).length(kTwo) == 40);
  CHECK(to.stage(0).free_kv_blocks() == std::vector<std::uint32_t>{2});
}

}  // namespace shoal
