#include "worker/stage_executor.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "model/gguf_shard_source.h"
#include "model/sampler.h"
#include "model/score.h"
#include "tests/worker/worker_driver.h"
#include "transport/limits.h"

namespace shoal {
namespace {

// One worker per stage, each with its own executor; frames go from one to the next as they would over the
// network.
class Pipeline {
 public:
  Pipeline(const TinyModel& model, const std::vector<std::uint32_t>& cuts, KvType kv_type = KvType::F16)
      : model_(model), pool_(1), source_(model.file(), pool_) {
    std::vector<DeviceId> devices;
    for (std::uint32_t i = 0; i <= cuts.size(); ++i) devices.push_back(DeviceId{i + 1});
    plan = plan_for(model, Epoch{1}, cuts, devices);
    plan.kv_type = static_cast<std::uint8_t>(kv_type);
    for (const DeviceId device : devices) {
      executors_.push_back(std::make_unique<StageExecutor>(*runnable_kernels().back(), pool_, source_));
      const StagesOpened opened = executors_.back()->open(plan, device);
      REQUIRE_MESSAGE(!opened.error, opened.error->message());
      CHECK(opened.scratch_bytes > 0);
      kv_bytes += opened.kv_bytes;
    }
  }

  CandidatesFrame run(StepFrame frame) {
    for (std::uint32_t stage = 0;; ++stage) {
      StepDone done = executors_[stage]->run(std::move(frame));
      REQUIRE_MESSAGE(!done.error, done.error->message());
      CHECK(done.stage == stage);
      if (auto* candidates = std::get_if<CandidatesFrame>(&done.output)) {
        CHECK(stage + 1 == executors_.size());
        return std::move(*candidates);
      }
      frame = std::move(std::get<StepFrame>(done.output));
      payload_bytes.resize(executors_.size());
      payload_bytes[stage] = 0;
      for (const Payload& chunk : frame.payload) payload_bytes[stage] += chunk.size();
      CHECK(payload_bytes[stage] == done.rows.size());
      CHECK(frame.stage == stage + 1);
      CHECK((frame.dtype == Dtype::None) == frame.payload.empty());
    }
  }

  // Greedy tokens after `prompt`, the prompt in chunks.
  std::vector<TokenId> generate(SequenceId sequence, const std::vector<TokenId>& prompt,
                                const SamplingParams& params, std::size_t count, std::uint32_t chunk) {
    std::vector<TokenId> answer;
    std::vector<TokenId> next = prompt;
    std::uint32_t position = 0;
    for (std::uint64_t step = 1; answer.size() < count; ++step) {
      StepFrame frame;
      frame.epoch = Epoch{1};
      frame.pipeline = PipelineId{1};
      const auto rows = std::min<std::uint32_t>(chunk, static_cast<std::uint32_t>(next.size()));
      const bool last = rows == next.size();
      frame.groups = {
          group_of(raw(sequence), step, position, rows, last ? std::uint32_t{kWantsLastRow} : 0u)};
      frame.ids.assign(next.begin(), next.begin() + rows);
      if (step == 1) frame.opens.push_back({.sequence = sequence, .depth = 1, .params = params});
      const CandidatesFrame candidates = run(std::move(frame));
      CHECK(candidates.groups.size() == 1);
      CHECK(candidates.rows.size() == (last ? 1 : 0));
      position += rows;
      next.erase(next.begin(), next.begin() + rows);
      if (!last) continue;
      const std::optional<ChosenToken> choice =
          choose_token(candidates.rows.front(), params, model_.config().vocab_size);
      REQUIRE(choice);
      answer.push_back(choice->id);
      next = {choice->id};
    }
    return answer;
  }

  StageExecutor& executor(std::size_t i) { return *executors_[i]; }

  PlanMessage plan;
  std::uint64_t kv_bytes = 0;              // of all stages
  std::vector<std::size_t> payload_bytes;  // per stage, of the latest step

 private:
  const TinyModel& model_;
  ThreadPool pool_;
  GgufShardSource source_;
  std::vector<std::unique_ptr<StageExecutor>> executors_;
};

std::vector<TokenId> prompt_of(std::size_t size) {
  std::vector<TokenId> ids(size);
  for (std::size_t i = 0; i < size; ++i) ids[i] = static_cast<TokenId>(3 + 37 * i % 590);
  return ids;
}

SamplingParams sampling() {
  SamplingParams params;
  params.temperature = 0.8f;
  params.seed = 99;
  params.repeat_penalty = 1.3f;
  params.answer_begin = 21;
  params.logit_bias = {{17, 2.0f}};
  return params;
}

}  // namespace

TEST_CASE(
    "any cut into stages gives the whole model's tokens, sampling parameters travelling with the first "
    "rows") {
  const TinyModel model{41};
  const std::vector<TokenId> prompt = prompt_of(21);
  Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 1, 512, 64);
  REQUIRE(whole);
  const Result<std::vector<ChosenToken>> expected = whole->generate(prompt, sampling(), 12);
  REQUIRE(expected);
  std::vector<TokenId> tokens;
  for (const ChosenToken& choice : *expected) tokens.push_back(choice.id);
  const std::uint32_t head = model.config().head_unit();
  for (const std::vector<std::uint32_t>& cuts : std::vector<std::vector<std::uint32_t>>{
           {}, {1}, {4}, {head}, {1, head}, {2, 3, 5}, {1, 2, 3, 4, 5, 6, 7}}) {
    for (const std::uint32_t chunk : {64u, 8u, 1u}) {
      CAPTURE(cuts.size());
      CAPTURE(chunk);
      Pipeline pipeline(model, cuts);
      CHECK(pipeline.generate(SequenceId{1}, prompt, sampling(), 12, chunk) == tokens);
    }
  }
}

TEST_CASE("a plan's KV type rules every stage: its bits and its memory") {
  const TinyModel model{41};
  const std::vector<TokenId> prompt = prompt_of(21);
  for (const KvType kv_type : {KvType::F16, KvType::Q8}) {
    CAPTURE(doctest::String(name_of(kv_type)));
    Result<WholeModel> whole =
        WholeModel::open(model.path(), *runnable_kernels().back(), 1, 512, 64, kv_type);
    REQUIRE(whole);
    const Result<std::vector<ChosenToken>> expected = whole->generate(prompt, sampling(), 12);
    REQUIRE(expected);
    std::vector<TokenId> tokens;
    for (const ChosenToken& choice : *expected) tokens.push_back(choice.id);
    Pipeline pipeline(model, {2, 5}, kv_type);
    CHECK(pipeline.generate(SequenceId{1}, prompt, sampling(), 12, 8) == tokens);
    const KvBudget budget{pipeline.plan.kv_blocks, kv_type};
    CHECK(pipeline.kv_bytes == kv_bytes(model.config(), budget, {0, model.config().num_units()}));
  }
}

TEST_CASE("a stage of the head alone gets the wanted rows only") {
  const TinyModel model{41};
  Pipeline pipeline(model, {model.config().head_unit()});
  const std::size_t row = model.config().activation_bytes();
  StepFrame frame = frame_of(
      Epoch{1}, 0,
      {group_of(1, 1, 0, 5), group_of(2, 1, 0, 4, kWantsLastRow), group_of(3, 1, 0, 3, kWantsAllRows)}, 0);
  CHECK(pipeline.run(std::move(frame)).rows.size() == 4);
  CHECK(pipeline.payload_bytes[0] == 4 * row);
  StepFrame none = frame_of(Epoch{1}, 0, {group_of(1, 2, 5, 5)}, 0);
  CHECK(pipeline.run(std::move(none)).rows.empty());
  CHECK(pipeline.payload_bytes[0] == 0);
}

TEST_CASE("closing a sequence frees its blocks at every stage, beside rows of others") {
  const TinyModel model{41};
  Pipeline pipeline(model, {3});
  const std::vector<std::uint32_t> free = pipeline.executor(0).free_kv_blocks();
  REQUIRE_FALSE(free.empty());
  (void)pipeline.generate(SequenceId{1}, prompt_of(40), {}, 1, 64);
  CHECK(pipeline.executor(0).free_kv_blocks() != free);
  (void)pipeline.run(
      frame_of(Epoch{1}, 0, {group_of(1, 2, 41, 0, kCloses), group_of(2, 1, 0, 2, kWantsLastRow)}, 0));
  (void)pipeline.run(frame_of(Epoch{1}, 0, {group_of(2, 2, 2, 0, kCloses)}, 0));
  CHECK(pipeline.executor(0).free_kv_blocks() == free);
  CHECK(pipeline.executor(1).free_kv_blocks() == free);
  // Its parameters are gone, too: the same number again begins with defaults.
  const std::vector<TokenId> once = pipeline.generate(SequenceId{3}, prompt_of(21), {}, 4, 64);
  CHECK(pipeline.generate(SequenceId{1}, prompt_of(21), {}, 4, 64) == once);
}

TEST_CASE("a payload in several chunks is the same as in one") {
  TinyModelOptions options;
  options.hidden_size = 256;
  options.head_dim = 64;
  options.num_layers = 2;
  const TinyModel model{41, options};
  Pipeline pipeline(model, {2});
  const auto rows = [&](std::uint64_t sequence) {
    return frame_of(Epoch{1}, 0, {group_of(sequence, 1, 0, 64, kWantsAllRows)}, 0);
  };
  StepDone whole = pipeline.executor(0).run(rows(1));
  REQUIRE_FALSE(whole.error);
  StepFrame frame = std::move(std::get<StepFrame>(whole.output));
  StepFrame cut = copy_of(frame);
  cut.groups.front().sequence = SequenceId{2};
  cut.payload.clear();
  const Bytes bytes = frame.payload.front().bytes();
  for (std::size_t at = 0; at < bytes.size(); at += 10'000)
    cut.payload.push_back(
        Payload::copy_of(bytes.subspan(at, std::min<std::size_t>(10'000, bytes.size() - at))));
  StepDone one = pipeline.executor(1).run(std::move(frame));
  StepDone several = pipeline.executor(1).run(std::move(cut));
  auto& a = std::get<CandidatesFrame>(one.output).rows;
  auto& b = std::get<CandidatesFrame>(several.output).rows;
  REQUIRE(a.size() == 64);
  REQUIRE(b.size() == 64);
  for (std::size_t i = 0; i < a.size(); ++i) {
    b[i].sequence = a[i].sequence;
    CHECK(a[i] == b[i]);
  }
}

TEST_CASE("what cannot be run or opened is an error with the frame it was about") {
  const TinyModel model{41};
  Pipeline pipeline(model, {3});
  StepDone done =
      pipeline.executor(0).run(frame_of(Epoch{1}, 1, {group_of(1, 1, 0, 1)}, model.config().hidden_size));
  REQUIRE(done.error);
  CHECK(done.error->code() == ErrorCode::Unavailable);
  CHECK(groups_of(done).size() == 1);
  done =
      pipeline.executor(0).run(frame_of(Epoch{1}, 0, {group_of(1, 1, 5, 1)}, 0));  // a hole in the sequence
  REQUIRE(done.error);
  CHECK(groups_of(done).front().first_position == 5);
  StepFrame broken = frame_of(Epoch{1}, 1, {group_of(1, 1, 0, 1)}, model.config().hidden_size);
  std::vector<float> infinite(model.config().hidden_size, INFINITY);
  broken.payload.front() = Payload::copy_of(std::as_bytes(std::span(infinite)));
  CHECK(pipeline.executor(1).run(std::move(broken)).error->code() == ErrorCode::Corrupt);

  const auto error_of = [&](auto&& change) {
    PlanMessage plan = pipeline.plan;
    change(plan);
    const StagesOpened opened = pipeline.executor(0).open(plan, DeviceId{1});
    REQUIRE(opened.error);
    CHECK(pipeline.executor(0).free_kv_blocks().empty());
    return opened.error->code();
  };
  CHECK(error_of([](PlanMessage& p) { p.config.pop_back(); }) == ErrorCode::Corrupt);
  CHECK(error_of([](PlanMessage& p) { p.kv_blocks.clear(); }) == ErrorCode::InvalidArgument);
  CHECK(error_of([](PlanMessage& p) { p.kv_type = 9; }) == ErrorCode::Unsupported);
  CHECK(error_of([](PlanMessage& p) { p.max_rows = 0; }) == ErrorCode::InvalidArgument);
  CHECK(error_of([](PlanMessage& p) { p.max_context = 1u << 30; }) == ErrorCode::InvalidArgument);
  error_of([](PlanMessage& p) { p.tensors.clear(); });
  error_of([](PlanMessage& p) { p.tensors.front().type = 1234; });
}

}  // namespace shoal
