#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <utility>

#include "tests/model/stage_chain.h"
#include "tests/support/allocation_counter.h"

namespace shoal {
namespace {

constexpr SequenceId kOne{1};
constexpr SequenceId kTwo{2};
constexpr SequenceId kThree{3};

// One stage of a model, run with groups as they are.
struct OneStage {
  TinyModel model{61};
  StageChain chain;
  StageOutput output;
  std::vector<TokenId> ids = random_ids(16, 512, model.config().vocab_size);

  explicit OneStage(ChainOptions options) : chain(model, std::move(options)) {}
  Status run(std::vector<RowGroup> groups, const std::byte* hidden = nullptr, std::size_t stage = 0) {
    std::size_t rows = 0;
    for (const RowGroup& group : groups) rows += group.num_rows;
    return chain.stage(stage).run({groups, std::span(ids).first(rows), hidden, {}, {}}, output);
  }
  ErrorCode refusal(std::vector<RowGroup> groups, const std::byte* hidden = nullptr, std::size_t stage = 0) {
    const Status ran = run(std::move(groups), hidden, stage);
    REQUIRE(!ran);
    return ran.error().code();
  }
};

RowGroup rows_of(SequenceId sequence, std::uint32_t first, std::uint32_t rows) {
  return {.sequence = sequence, .first_position = first, .num_rows = rows, .flags = kWantsLastRow};
}

StageSpec spec_of(const ModelConfig& config) {
  StageSpec spec;
  spec.units = {0, config.num_units()};
  spec.head_blocks = {0, 1};
  spec.max_context = 128;
  spec.max_rows = 64;
  spec.max_sequences = 4;
  spec.kv.blocks = {16};
  return spec;
}

}  // namespace

TEST_CASE("a step that cannot be applied whole is refused and nothing of it is applied") {
  OneStage one({.max_context = 96, .max_rows = 64, .max_sequences = 2, .blocks_per_kind = 3});
  REQUIRE(one.run({rows_of(kOne, 0, 40)}));
  const auto nothing_changed = [&] {
    return one.chain.stage(0).length(kOne) == 40 && one.chain.stage(0).length(kTwo) == 0 &&
           one.chain.stage(0).free_kv_blocks() == std::vector<std::uint32_t>{1};
  };
  CHECK(one.refusal({rows_of(kTwo, 0, 20), rows_of(kOne, 40, 30)}) ==
        ErrorCode::OutOfMemory);  // one block each
  CHECK(nothing_changed());
  CHECK(one.refusal({rows_of(kTwo, 0, 5), rows_of(kThree, 0, 5)}) == ErrorCode::OutOfMemory);  // two slots
  CHECK(one.refusal({rows_of(kTwo, 0, 5), rows_of(kOne, 41, 1)}) == ErrorCode::InvalidArgument);
  CHECK(one.refusal({rows_of(kTwo, 1, 5)}) == ErrorCode::InvalidArgument);
  CHECK(one.refusal({rows_of(kTwo, 0, 5), rows_of(kTwo, 5, 5)}) == ErrorCode::InvalidArgument);
  CHECK(one.refusal({rows_of(kOne, 40, 57)}) == ErrorCode::InvalidArgument);  // past 96
  CHECK(one.refusal({rows_of(kOne, 40, 65)}) == ErrorCode::InvalidArgument);  // more than 64 rows
  RowGroup adapted = rows_of(kTwo, 0, 1);
  adapted.adapter = 1;
  CHECK(one.refusal({adapted}) == ErrorCode::Unsupported);
  RowGroup closing = rows_of(kOne, 40, 1);
  closing.flags = kCloses;
  CHECK(one.refusal({closing}) == ErrorCode::InvalidArgument);
  for (TokenId bad : {-1, 600}) {
    one.ids[1] = bad;
    CHECK(one.refusal({rows_of(kTwo, 0, 5)}) == ErrorCode::InvalidArgument);
    one.ids[1] = 0;
  }
  CHECK(one.refusal(std::vector<RowGroup>(33, rows_of(kTwo, 0, 0))) == ErrorCode::InvalidArgument);
  CHECK(nothing_changed());

  SUBCASE("a sequence closed in the step makes room in it") {
    RowGroup over{.sequence = kOne, .flags = kCloses};
    CHECK(one.run({rows_of(kTwo, 0, 60), over}));
    CHECK(one.chain.stage(0).length(kOne) == 0);
    CHECK(one.chain.stage(0).length(kTwo) == 60);
    CHECK(one.output.candidates.size() == 1);
  }
  SUBCASE("a cut makes room in it") { CHECK(one.run({rows_of(kTwo, 0, 60), rows_of(kOne, 2, 4)})); }
  SUBCASE("a group without rows only cuts") {
    CHECK(one.run({rows_of(kOne, 10, 0)}));
    CHECK(one.chain.stage(0).length(kOne) == 10);
    CHECK(one.output.candidates.empty());
    CHECK(one.chain.stage(0).free_kv_blocks() == std::vector<std::uint32_t>{2});
  }
  SUBCASE("closing what is not there is nothing") {
    one.chain.stage(0).close(kThree);
    CHECK(nothing_changed());
    one.chain.stage(0).close_all();
    CHECK(one.chain.stage(0).free_kv_blocks() == std::vector<std::uint32_t>{3});
  }
}

TEST_CASE("hidden rows that are no numbers are corrupt, and unaligned ones are read where they lie") {
  OneStage one({.cuts = {3}});
  REQUIRE(one.run({rows_of(kOne, 0, 5)}));
  std::vector<float> hidden(one.output.hidden.begin(), one.output.hidden.end());
  std::vector<std::byte> unaligned(hidden.size() * sizeof(float) + 1);
  const auto pack = [&] {
    std::memcpy(unaligned.data() + 1, hidden.data(), hidden.size() * sizeof(float));
    return unaligned.data() + 1;
  };
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                    -std::numeric_limits<float>::infinity()}) {
    const float good = std::exchange(hidden[130], bad);
    CHECK(one.refusal({rows_of(kOne, 0, 5)}, pack(), 1) == ErrorCode::Corrupt);
    CHECK(one.chain.stage(1).length(kOne) == 0);
    hidden[130] = good;
  }
  CHECK(one.refusal({rows_of(kOne, 0, 5)}, nullptr, 1) == ErrorCode::InvalidArgument);
  REQUIRE(one.run({rows_of(kOne, 0, 5)}, pack(), 1));
  const std::vector<CandidateRow> expected =
      StageChain(one.model).append(kOne, 0, std::span(one.ids).first(5), 5);
  CHECK(one.output.candidates.at(0).raw == expected[4].raw);
}

TEST_CASE("after its first step a stage of hidden rows allocates nothing") {
  OneStage one({.cuts = {4}, .num_threads = 2});
  const std::vector<RowGroup> prefill{rows_of(kOne, 0, 100), rows_of(kTwo, 0, 30)};
  REQUIRE(one.run(prefill));
  const std::size_t before = num_allocations();
  bool ran = true;
  for (std::uint32_t i = 0; i < 40; ++i) {
    const RowGroup groups[] = {rows_of(kOne, 100 + i, 1), rows_of(kTwo, 30 + 2 * i, 2)};
    ran = ran && one.chain.stage(0).run({groups, std::span(one.ids).first(3), nullptr, {}, {}}, one.output);
  }
  const std::size_t after = num_allocations();
  CHECK(ran);
  CHECK(after == before);
  CHECK(one.output.hidden.size() == 3 * one.model.config().hidden_size);
}

TEST_CASE("a stage allocates what cpu_stage_scratch_bytes says, and little besides") {
  const TinyModel model(62, several_head_blocks({}));
  ThreadPool pool(2);
  GgufShardSource source(model.file(), pool);
  for (Range units : {Range{0, 1}, Range{1, 4}, Range{0, 8}, Range{7, 8}}) {
    CAPTURE(units.begin);
    CAPTURE(units.end);
    StageSpec spec = spec_of(model.config());
    spec.units = units;
    spec.head_blocks = units.end == 8 ? Range{1, 3} : Range{};
    spec.max_rows = 512;
    const std::uint64_t layers = units.end >= 4 && units.begin < 7 ? (units.begin == 0 ? 6 : 3) : 0;
    // Two heads of 16 dimensions: keys and values of a position in f16, or in int8 with one f16 scale.
    for (const auto& [kv_type, position_bytes] :
         {std::pair{KvType::F16, 2 * 2 * 32}, {KvType::Q8, 2 * 2 * 18}}) {
      spec.kv.type = kv_type;
      auto stage = open_cpu_stage(spec, model.config(), model.specs(), source, scalar_kernels(), pool);
      REQUIRE(stage);
      CHECK((*stage)->scratch_bytes() == cpu_stage_scratch_bytes(spec, model.config(), 2));
      CHECK((*stage)->kv_bytes_allocated() == layers * 16 * 32 * static_cast<std::uint64_t>(position_bytes));
      CHECK((*stage)->kv_bytes_allocated() == kv_bytes(model.config(), spec.kv, units));
    }
  }
}

TEST_CASE("scratch for a large vocabulary is bounded by the head's tile") {
  ModelConfig config = TinyModel(63).config();
  config.vocab_size = 262144;
  StageSpec spec = spec_of(config);
  spec.head_blocks = {0, 256};
  spec.max_rows = 512;
  CHECK(cpu_stage_scratch_bytes(spec, config, 2) < 25'000'000);  // 512 rows of logits would be 512 MiB
  CHECK(cpu_stage_scratch_bytes(spec, config, 2) > 16'777'216);
}

TEST_CASE("specs that fit no stage are refused with the reason") {
  const TinyModel model(64);
  ThreadPool pool(1);
  GgufShardSource source(model.file(), pool);
  const auto refusal = [&](auto&& change) {
    StageSpec spec = spec_of(model.config());
    change(spec);
    const auto stage = open_cpu_stage(spec, model.config(), model.specs(), source, scalar_kernels(), pool);
    return stage ? std::string() : stage.error().message();
  };
  CHECK(refusal([](StageSpec&) {}) == "");
  CHECK(refusal([](StageSpec& s) { s.units = {3, 3}; }) != "");
  CHECK(refusal([](StageSpec& s) { s.units = {3, 9}; }) != "");
  CHECK(refusal([](StageSpec& s) { s.units = {0, 4}; }) != "");  // head blocks without the head
  CHECK(refusal([](StageSpec& s) { s.head_blocks = {}; }) != "");
  CHECK(refusal([](StageSpec& s) { s.head_blocks = {0, 2}; }) != "");  // 600 rows are one block
  CHECK(refusal([](StageSpec& s) { s.max_context = 5000; }) != "");
  CHECK(refusal([](StageSpec& s) { s.max_rows = 513; }) != "");
  CHECK(refusal([](StageSpec& s) { s.max_rows = 0; }) != "");
  CHECK(refusal([](StageSpec& s) { s.max_sequences = 0; }) != "");
  CHECK(refusal([](StageSpec& s) { s.kv.blocks = {1, 2}; }) != "");
}

TEST_CASE("two stages that share a source share a tied head's memory") {
  const TinyModel model(65);
  ThreadPool pool(1);
  GgufShardSource source(model.file(), pool);
  std::uint64_t expected = 0;
  for (Range units : {Range{0, 1}, Range{7, 8}}) {
    StageSpec spec = spec_of(model.config());
    spec.units = units;
    if (units.end != 8) spec.head_blocks = {};
    REQUIRE(open_cpu_stage(spec, model.config(), model.specs(), source, scalar_kernels(), pool));
    if (expected == 0)
      expected = source.bytes() + model.config().hidden_size * sizeof(float);  // then only the output norm
  }
  CHECK(source.bytes() == expected);
}

TEST_CASE("a measured stage's operations take no longer than its steps, and each is named once") {
  OneStage one({.max_context = 96});
  OpTimes times;
  REQUIRE(one.run({rows_of(kOne, 0, 20)}));
  CHECK(times.of(Operation::Attention).calls == 0);
  one.chain.stage(0).measure(&times);
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(one.run({rows_of(kOne, 20, 20), rows_of(kTwo, 0, 3)}));
  const Duration whole = std::chrono::steady_clock::now() - begin;
  Duration sum{};
  for (std::size_t i = 0; i < kNumOperations; ++i) {
    const auto operation = static_cast<Operation>(i);
    CAPTURE(std::string(name_of(operation)));
    CHECK(times.of(operation).calls > 0);
    sum += times.of(operation).time;
    for (std::size_t j = 0; j < i; ++j) CHECK(name_of(static_cast<Operation>(j)) != name_of(operation));
  }
  CHECK(sum <= whole);
  CHECK(times.of(Operation::Attention).calls == one.model.config().num_layers);
  one.chain.stage(0).measure(nullptr);
  REQUIRE(one.run({rows_of(kOne, 40, 20)}));
  CHECK(times.of(Operation::Attention).calls == one.model.config().num_layers);
}

}  // namespace shoal
