#include <doctest/doctest.h>

#include "base/crc32c.h"
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
  for (const auto& [architecture, kv_type] : {std::pair{Architecture::Llama, KvType::F16},
                                              {Architecture::Gemma3, KvType::F16},
                                              {Architecture::Llama, KvType::Q8},
                                              {Architecture::Gemma3, KvType::Q8}}) {
    CAPTURE(doctest::String(name_of(kv_type)));
    const TinyModel model(51, options_for(architecture));
    const std::vector<TokenId> ids = random_ids(11, 230, model.config().vocab_size);
    StageChain straight(model, {.kv_type = kv_type});
    const std::vector<CandidateRow> expected = straight.append(kOne, 0, ids, 64);
    StageChain from(model, {.cuts = {3}, .kv_type = kv_type});
    StageChain to(model, {.cuts = {3}, .kv_type = kv_type});
    to.append(SequenceId{9}, 0, std::span(ids).first(50), 50);  // so that block numbers differ
    from.append(kOne, 0, std::span(ids).first(201), 30);

    SUBCASE("in one piece") { copy_kv(from, to, kTwo, Range{0, 201}); }
    SUBCASE("in pieces of any size, some of them again") {
      StageChain source(model, {.cuts = {3}, .kv_type = kv_type});
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
  KvType kv_type = KvType::F16;
  KvType other_type = KvType::Q8;
  SUBCASE("in f16") {}
  SUBCASE("in q8") { std::swap(kv_type, other_type); }
  StageChain from(model, {.kv_type = kv_type});
  StageChain to(model, {.max_context = 90, .kv_type = kv_type});
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
  StageChain other_cut(model, {.cuts = {4}, .kv_type = kv_type});
  other_cut.append(kOne, 0, ids, 64);
  CHECK(refused_as(to, *other_cut.stage(0).export_kv(kOne, Range{0, 64})) == ErrorCode::InvalidArgument);
  StageChain other_kept(model, {.kv_type = other_type});
  other_kept.append(kOne, 0, ids, 64);
  CHECK(refused_as(to, *other_kept.stage(0).export_kv(kOne, Range{0, 64})) == ErrorCode::InvalidArgument);
  CHECK(!from.stage(0).export_kv(kOne, Range{50, 101}));
  CHECK(!from.stage(0).export_kv(kOne, Range{50, 50}));
  CHECK(!from.stage(0).export_kv(SequenceId{77}, Range{0, 1}));
  CHECK(to.stage(0).import_kv(kTwo, good));
  CHECK(to.stage(0).length(kTwo) == 64);
}

TEST_CASE("an export whose values are no numbers is refused although its checksum is right") {
  const TinyModel model(56);
  const std::vector<TokenId> ids = random_ids(13, 40, model.config().vocab_size);
  for (const KvType kv_type : {KvType::F16, KvType::Q8}) {
    StageChain from(model, {.kv_type = kv_type});
    StageChain to(model, {.kv_type = kv_type});
    from.append(kOne, 0, ids, 64);
    const std::vector<std::byte> good = *from.stage(0).export_kv(kOne, Range{0, 32});
    // In q8 any codes are numbers; the scales of a head lie behind them.
    const KvShape shape = model.config().kv_shape(kv_type);
    const std::size_t first_block = good.size() - model.config().num_layers * shape.block_bytes();
    const std::size_t scale = kv_type == KvType::F16 ? 0 : shape.head_elements();
    std::vector<std::byte> damaged = good;
    const auto store_checked = [&](std::size_t at, std::uint16_t bits) {
      damaged = good;
      store(damaged.data() + first_block + at, bits);
      store(damaged.data() + 8, crc32c(Bytes(damaged).subspan(12)));
      const Status imported = to.stage(0).import_kv(kTwo, damaged);
      return imported ? std::string() : imported.error().message();
    };
    for (const std::size_t head : {0u, 1u, 2u, 3u}) {
      const std::size_t at = head * shape.head_bytes() + scale;
      CHECK(store_checked(at, 0x7c00).find("not finite") != std::string::npos);
      CHECK(store_checked(at + 2, 0xfe01).find("not finite") != std::string::npos);
      CHECK(store_checked(at, 0x7bff) == "");
    }
    if (kv_type == KvType::Q8) CHECK(store_checked(0, 0x7c00) == "");
  }
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
