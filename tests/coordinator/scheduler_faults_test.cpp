#include <doctest/doctest.h>

#include "tests/coordinator/scripted_pipeline.h"
#include "transport/bounds.h"

namespace shoal {
namespace {

struct World {
  explicit World(std::uint32_t vocab_size = 128)
      : config(scripted_config()),
        scheduler(options(), with_vocabulary(config, vocab_size), letters()),
        shape(scripted_shape(config, 64)),
        pipeline(scheduler, config, shape) {}

  static const ModelConfig& with_vocabulary(ModelConfig& config, std::uint32_t size) {
    config.vocab_size = size;
    return config;
  }
  static SchedulerOptions options() {
    SchedulerOptions options;
    options.max_context = 200;
    options.prefill_chunk = 16;
    return options;
  }
  void submit(RequestId id, InferenceRequest request) {
    scheduler.submit(id, std::move(request), pipeline.now);
  }

  ModelConfig config;
  Scheduler scheduler;
  PipelineShape shape;
  ScriptedPipeline pipeline;
};

// Four requests, of which one brings harm.
constexpr SequenceId kCulprit{3};
void submit_four(World& world) {
  for (RequestId id = 1; id <= 4; ++id) world.submit(id, scripted_request("abcd", 6, id));
}

// Answers steps until the one in front holds rows of the culprit; false: none will.
bool run_to_the_culprit(World& world) {
  for (int i = 0; i < 400; ++i) {
    world.pipeline.take_steps();
    if (world.pipeline.taken().empty()) return false;
    const bool holds = std::ranges::any_of(world.pipeline.taken().front().groups, [](const RowGroup& g) {
      return g.sequence == kCulprit && g.num_rows > 0;
    });
    if (holds) return true;
    world.pipeline.answer_one();
  }
  return false;
}

void check_that_the_others_got_their_text(World& world) {
  for (const RequestId id : {1, 2, 4}) {
    CAPTURE(id);
    CHECK(text_of(world.pipeline.events[id]) == scripted_answer({'a', 'b', 'c', 'd'}, id, 6));
    CHECK(finish_of(world.pipeline.events[id]));
  }
}

const FailedEvent kBlamed{ErrorCode::Internal, "it is not a number", "step_refused"};

}  // namespace

TEST_CASE("a request for the whole of a large vocabulary travels, and is answered for") {
  World world(262'208);
  InferenceRequest request = scripted_request("abc", 5);
  request.sampling.temperature = 1;
  request.sampling.top_k = 300'000;
  world.submit(1, std::move(request));
  std::optional<StepFrame> step = world.scheduler.next_step(world.pipeline.now);
  REQUIRE(step);
  REQUIRE(step->opens.size() == 1);
  CHECK(step->opens.front().depth == 262'208);
  const char* wrong = out_of_bounds(Message(*std::move(step)));
  CHECK_MESSAGE(wrong == nullptr, wrong);
}

TEST_CASE("a change of epoch replays every running request to the same text") {
  World world;
  std::map<RequestId, std::string> expected;
  for (RequestId id = 1; id <= 3; ++id) {
    const std::string prompt(20 * id, static_cast<char>('a' + id));
    expected[id] = scripted_answer({prompt.begin(), prompt.end()}, id, 25);
    world.submit(id, scripted_request(prompt, 25, id));
  }
  for (std::uint32_t epoch = 2; epoch < 9; ++epoch) {
    for (std::uint32_t i = 0; i < 5 * epoch; ++i) {
      world.pipeline.take_steps();
      world.pipeline.answer_one();
    }
    world.scheduler.stop_epoch();
    CHECK_FALSE(world.scheduler.next_step(world.pipeline.now));
    world.shape.epoch = make_epoch(1, epoch);
    world.pipeline.restart(world.shape);
  }
  world.pipeline.run();
  CHECK(world.pipeline.faults() == "");
  for (const auto& [id, text] : expected) CHECK(text_of(world.pipeline.events[id]) == text);
  CHECK(world.scheduler.counts().free_kv_blocks == world.shape.kv.blocks);
}

TEST_CASE("answers of an earlier epoch, doubled answers and answers to nothing change nothing") {
  World world;
  world.submit(1, scripted_request("abc", 8));
  world.pipeline.take_steps();
  CandidatesFrame once = world.pipeline.oldest_answer();
  CandidatesFrame stale = once;
  stale.epoch = make_epoch(1, 7);
  CHECK(world.scheduler.on_candidates(stale, world.pipeline.now).error().code() == ErrorCode::StaleEpoch);
  CHECK(world.scheduler.on_candidates(once, world.pipeline.now));
  CHECK(world.scheduler.on_candidates(once, world.pipeline.now).error().code() == ErrorCode::InvalidArgument);
  world.pipeline.lose_one();
  world.pipeline.run();
  CHECK(text_of(world.pipeline.events[1]) == scripted_answer({'a', 'b', 'c'}, 1, 8));
}

TEST_CASE("an answer that is not to what was asked is corrupt and leaves the step in flight") {
  World world;
  InferenceRequest request = scripted_request("abcdef", 3);
  request.echo_logprobs = request.digest = true;
  world.submit(1, request);
  world.pipeline.take_steps();
  const CandidatesFrame good = world.pipeline.oldest_answer();
  REQUIRE(good.rows.size() == 6);
  std::vector<CandidatesFrame> bad(8, good);
  bad[0].rows.pop_back();
  bad[1].rows.push_back(bad[1].rows.back());
  bad[2].rows.front().position = 3;
  bad[3].rows.front().sequence = SequenceId{9};
  bad[4].rows.front().by_adjusted.front().id = 128;  // outside the vocabulary
  bad[5].rows.front().raw.clear();
  bad[6].rows.front().digests.clear();
  bad[7].rows.front().step = StepNumber{9};
  for (std::size_t i = 0; i < bad.size(); ++i) {
    CAPTURE(i);
    const Status judged = world.scheduler.on_candidates(bad[i], world.pipeline.now);
    REQUIRE_FALSE(judged);
    CHECK(judged.error().code() == ErrorCode::Corrupt);
  }
  world.pipeline.collect();
  CHECK(world.scheduler.counts().steps_in_flight >= 1);
  CHECK(world.scheduler.on_candidates(good, world.pipeline.now));
}

TEST_CASE("an unanswered step is repeated as it was, ever more patiently") {
  World world;
  world.submit(1, scripted_request("abc", 4));
  world.pipeline.take_steps();
  const StepFrame& sent = world.pipeline.taken().front();
  CHECK(world.scheduler.take_overdue(world.pipeline.now).empty());
  Time now = world.pipeline.now;
  std::vector<Duration> waits;
  for (int i = 0; i < 3; ++i) {
    const Time since = now;
    std::vector<StepFrame> frames;
    while (frames.empty()) {
      now += std::chrono::milliseconds(100);
      frames = world.scheduler.take_overdue(now);
    }
    waits.push_back(now - since);
    REQUIRE(frames.size() == 1);
    CHECK(frames.front().groups == sent.groups);
    CHECK(frames.front().ids == sent.ids);
    CHECK(frames.front().opens == sent.opens);
  }
  CHECK(world.scheduler.most_repeats() == 3);
  CHECK(waits[0] >= std::chrono::seconds(2));
  CHECK(waits[1] > waits[0]);
  CHECK(waits[2] > waits[1]);
  world.pipeline.now = now;
  world.pipeline.run();
  CHECK(world.scheduler.most_repeats() == 0);
  CHECK(finish_of(world.pipeline.events[1]));
}

TEST_CASE("a slow pipeline's first steps are given the time that was predicted") {
  World world;
  world.shape.predicted_step_seconds = 3;
  world.pipeline.restart(world.shape);
  world.submit(1, scripted_request(std::string(16, 'a'), 4));
  world.pipeline.take_steps();
  CHECK(world.scheduler.take_overdue(world.pipeline.now + std::chrono::seconds(20)).empty());
  CHECK(world.scheduler.take_overdue(world.pipeline.now + std::chrono::seconds(200)).size() > 0);
}

TEST_CASE("after a gap everything unanswered goes again, in order, but not again and again") {
  World world;
  world.submit(1, scripted_request(std::string(100, 'g'), 4));
  CHECK(world.pipeline.take_steps() == 3);  // stages + 1
  const std::vector<StepFrame> again = world.scheduler.take_unanswered(world.pipeline.now);
  REQUIRE(again.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(again[i].groups == world.pipeline.taken()[i].groups);
  CHECK(world.scheduler.take_unanswered(world.pipeline.now + std::chrono::milliseconds(10)).empty());
  CHECK(world.scheduler.take_unanswered(world.pipeline.now + std::chrono::seconds(1)).size() == 3);
}

TEST_CASE("of a step that cannot be computed only the sequence to blame ends") {
  World world;
  submit_four(world);
  std::uint32_t epoch = 1;
  while (run_to_the_culprit(world)) {
    // The stage names the step by its first group, whoever is to blame.
    const RowGroup named = world.pipeline.taken().front().groups.front();
    world.scheduler.blame(named.sequence, named.step, kBlamed);
    world.scheduler.stop_epoch();
    world.shape.epoch = make_epoch(1, ++epoch);
    world.pipeline.restart(world.shape);
    REQUIRE(epoch < 10);
  }
  world.pipeline.run();
  REQUIRE(failure_of(world.pipeline.events[3]));
  CHECK(failure_of(world.pipeline.events[3])->message == kBlamed.message);
  check_that_the_others_got_their_text(world);
}

TEST_CASE("a cut that lies in the tail is judged again, deeper, and not for ever") {
  for (const bool at_last : {true, false}) {
    CAPTURE(at_last);
    World world(1000);  // more than the first look brings back
    InferenceRequest request = scripted_request("abc", 1);
    request.sampling.temperature = 1;
    request.sampling.top_p = 0.9f;
    world.submit(1, request);
    int asked = 0;
    while (world.pipeline.take_steps() > 0 && asked < 20) {
      ++asked;
      const StepFrame& step = world.pipeline.taken().front();
      if (step.groups.front().num_rows == 0) break;
      if (asked > 1) {
        CHECK(step.opens.size() == 1);
        CHECK(step.groups.front().first_position == 2);
        CHECK(step.groups.front().num_rows == 1);
      }
      CandidatesFrame answer = world.pipeline.oldest_answer();
      CandidateRow& row = answer.rows.back();
      row.adjusted = {BlockSum{1, 100}};                           // the mass lies elsewhere
      if (at_last && asked == 2) row.adjusted = {BlockSum{1, 1}};  // now it is all here
      CHECK(world.scheduler.on_candidates(std::move(answer), world.pipeline.now));
      world.pipeline.lose_one();
    }
    world.pipeline.run();
    if (at_last)
      CHECK(finish_of(world.pipeline.events[1]));
    else
      CHECK(failure_of(world.pipeline.events[1]));
  }
}

TEST_CASE("failing all ends every request once, waiting or running, and nothing is left") {
  World world;
  world.shape.max_sequences = 2;
  world.pipeline.restart(world.shape);
  for (RequestId id = 1; id <= 5; ++id) world.submit(id, scripted_request("abc", 10));
  world.pipeline.take_steps();
  world.scheduler.fail_all({ErrorCode::OutOfMemory, "no room", "insufficient_capacity"});
  world.pipeline.run();
  for (RequestId id = 1; id <= 5; ++id) {
    REQUIRE(failure_of(world.pipeline.events[id]));
    CHECK(failure_of(world.pipeline.events[id])->message == "no room");
  }
  CHECK(world.scheduler.counts().failed == 5);
  CHECK(world.scheduler.counts().free_kv_blocks == world.shape.kv.blocks);
}

TEST_CASE("no step is late by the time that the hub slept, and it counts for no average") {
  World world;
  world.submit(1, scripted_request("abc", 8));
  for (int i = 0; i < 4; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  const double usual = world.scheduler.counts().step_seconds;
  REQUIRE(usual > 0);
  world.pipeline.take_steps();
  world.pipeline.now += std::chrono::seconds(60);
  world.scheduler.forgive(std::chrono::seconds(60));
  CHECK(world.scheduler.take_overdue(world.pipeline.now).empty());
  world.pipeline.answer_one();
  CHECK(world.scheduler.counts().step_seconds == doctest::Approx(usual));
  world.pipeline.run();
  CHECK(text_of(world.pipeline.events[1]) == scripted_answer({'a', 'b', 'c'}, 1, 8));
}

TEST_CASE("a sequence that kills every device it reaches ends alone, and the others get their whole text") {
  World world;
  submit_four(world);
  std::uint32_t deaths = 0;
  while (run_to_the_culprit(world)) {
    world.scheduler.device_died();
    world.shape.epoch = make_epoch(1, 1 + ++deaths);
    world.pipeline.restart(world.shape);
    REQUIRE(deaths <= 8);
  }
  world.pipeline.run();
  CHECK(deaths == 8);
  CHECK(world.pipeline.faults() == "");
  REQUIRE(failure_of(world.pipeline.events[3]));
  CHECK(failure_of(world.pipeline.events[3])->api_code == "devices_died");
  check_that_the_others_got_their_text(world);
}

TEST_CASE("however often devices die, a sequence that gets a token between goes on") {
  World world;
  world.submit(1, scripted_request("abcd", 30));
  for (std::uint32_t death = 1; death <= 25; ++death) {
    while (text_of(world.pipeline.events[1]).size() < death) {
      world.pipeline.take_steps();
      REQUIRE(world.pipeline.answer_one());
    }
    world.pipeline.take_steps();
    world.scheduler.device_died();
    world.shape.epoch = make_epoch(1, 1 + death);
    world.pipeline.restart(world.shape);
  }
  world.pipeline.run();
  CHECK(text_of(world.pipeline.events[1]) == scripted_answer({'a', 'b', 'c', 'd'}, 1, 30));
}

TEST_CASE("however often devices die, a text that is scored further between goes on") {
  World world;
  InferenceRequest scored = scripted_request(std::string(180, 's'), 0);
  scored.echo_logprobs = true;
  world.submit(1, scored);
  for (std::uint32_t death = 1; death <= 11; ++death) {
    for (std::uint32_t chunk = 0; chunk < death; ++chunk) {  // what was scored is rebuilt, and one chunk more
      world.pipeline.take_steps();
      world.pipeline.answer_one();
    }
    world.pipeline.take_steps();
    world.scheduler.device_died();
    world.shape.epoch = make_epoch(1, 1 + death);
    world.pipeline.restart(world.shape);
  }
  world.pipeline.run();
  CHECK(finish_of(world.pipeline.events[1]));
}

}  // namespace shoal
