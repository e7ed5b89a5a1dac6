#include <doctest/doctest.h>

#include <set>

#include "tests/coordinator/scripted_pipeline.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

SchedulerOptions small_options() {
  SchedulerOptions options;
  options.max_context = 200;
  options.prefill_chunk = 16;
  options.busy_prefill_chunk = 8;
  options.max_queue = 4;
  return options;
}

struct World {
  explicit World(std::uint32_t blocks = 64, std::uint32_t window = 0,
                 SchedulerOptions options = small_options())
      : config(scripted_config(window)),
        scheduler(options, config, letters()),
        shape(scripted_shape(config, blocks)),
        pipeline(scheduler, config, shape) {}

  void submit(RequestId id, InferenceRequest request) {
    scheduler.submit(id, std::move(request), pipeline.now);
  }
  void check_idle() {
    CHECK(pipeline.faults() == "");
    CHECK(scheduler.counts().free_kv_blocks == shape.kv.blocks);
    CHECK(pipeline.free_blocks() == shape.kv.blocks);
    CHECK(scheduler.counts().running + scheduler.counts().queued + scheduler.counts().parked == 0);
    CHECK(scheduler.counts().steps_in_flight == 0);
  }

  ModelConfig config;
  Scheduler scheduler;
  PipelineShape shape;
  ScriptedPipeline pipeline;
};

std::vector<SequenceId> sequences_in(const StepFrame& frame) {
  std::vector<SequenceId> ids;
  for (const RowGroup& group : frame.groups) ids.push_back(group.sequence);
  return ids;
}

}  // namespace

TEST_CASE("a request is prefilled in chunks, decoded to its length and closed") {
  World world;
  world.submit(1, scripted_request(std::string(40, 'p'), 5));
  world.pipeline.run();
  CHECK(text_of(world.pipeline.events[1]) == scripted_answer(std::vector<TokenId>(40, 'p'), 1, 5));
  REQUIRE(finish_of(world.pipeline.events[1]));
  CHECK(finish_of(world.pipeline.events[1])->reason == FinishReason::Length);
  CHECK(finish_of(world.pipeline.events[1])->prompt_tokens == 40);
  CHECK(finish_of(world.pipeline.events[1])->completion_tokens == 5);
  std::vector<std::uint32_t> rows;
  for (const StepFrame& frame : world.pipeline.history())
    rows.push_back(static_cast<std::uint32_t>(frame.ids.size()));
  CHECK(rows == std::vector<std::uint32_t>{16, 16, 8, 1, 1, 1, 1, 0});
  world.check_idle();
}

TEST_CASE("an end-of-text token ends the answer and is not said, unless it is to be ignored") {
  for (const bool ignore : {false, true}) {
    CAPTURE(ignore);
    World world;
    InferenceRequest request = scripted_request("abc", 6);
    request.ignore_end = ignore;
    world.submit(1, std::move(request));
    world.pipeline.take_steps();
    CandidatesFrame answer = world.pipeline.oldest_answer();
    answer.rows.back().by_adjusted.front().id = answer.rows.back().by_raw.front().id = kEndOfText;
    CHECK(world.scheduler.on_candidates(std::move(answer), world.pipeline.now));
    world.pipeline.lose_one();
    world.pipeline.run();
    REQUIRE(finish_of(world.pipeline.events[1]));
    CHECK((finish_of(world.pipeline.events[1])->reason == FinishReason::Stop) == !ignore);
    CHECK(finish_of(world.pipeline.events[1])->completion_tokens == (ignore ? 6u : 0u));
    world.check_idle();
  }
}

TEST_CASE("requests are admitted in order of arrival and nobody overtakes") {
  World world(8);  // 256 positions
  for (RequestId id = 1; id <= 3; ++id) world.submit(id, scripted_request(std::string(100, 'a'), 4));
  world.submit(4, scripted_request("short", 4));
  CHECK(world.scheduler.counts().running == 2);
  CHECK(world.scheduler.counts().queued == 2);
  world.pipeline.run();
  for (RequestId id = 1; id <= 4; ++id) CHECK(finish_of(world.pipeline.events[id]));
  world.check_idle();
}

TEST_CASE("no more sequences run than the pipeline has slots") {
  World world;
  world.shape.max_sequences = 2;
  world.pipeline.restart(world.shape);
  for (RequestId id = 1; id <= 4; ++id) world.submit(id, scripted_request("abc", 8));
  CHECK(world.scheduler.counts().running == 2);
  world.pipeline.run();
  for (RequestId id = 1; id <= 4; ++id) CHECK(finish_of(world.pipeline.events[id]));
  world.check_idle();
}

TEST_CASE("when KV blocks run out the youngest is parked and replayed to the same text") {
  World world(8);
  std::map<RequestId, std::string> expected;
  for (RequestId id = 1; id <= 4; ++id) {
    const std::string prompt(30 + id, static_cast<char>('a' + id));
    expected[id] = scripted_answer({prompt.begin(), prompt.end()}, id, 60);
    world.submit(id, scripted_request(prompt, 60, id));
  }
  std::uint32_t most_parked = 0;
  for (int i = 0; i < 5000; ++i) {
    world.pipeline.take_steps();
    most_parked = std::max(most_parked, world.scheduler.counts().parked);
    if (!world.pipeline.answer_one()) break;
  }
  world.pipeline.run();
  CHECK(most_parked > 0);
  for (RequestId id = 1; id <= 4; ++id) {
    CAPTURE(id);
    CHECK(text_of(world.pipeline.events[id]) == expected[id]);
  }
  CHECK(finish_of(world.pipeline.events[1]));
  world.check_idle();
}

TEST_CASE(
    "a stage can always hold what was admitted, whatever windows, chunks, lengths and cancellations come") {
  for (std::uint64_t seed = 1; seed <= (kIsSlowRun ? 50 : 150); ++seed) {
    CAPTURE(seed);
    Random random(seed, "scheduler");
    SchedulerOptions options = small_options();
    options.max_queue = 100;
    options.prefill_chunk = static_cast<std::uint32_t>(1 + random.below(64));
    options.busy_prefill_chunk = static_cast<std::uint32_t>(1 + random.below(64));
    const std::uint32_t window = random.below(3) == 0 ? 0 : static_cast<std::uint32_t>(1 + random.below(100));
    World world(static_cast<std::uint32_t>(7 + random.below(10)), window, options);
    // As the plan does it: every kind holds one whole context at least.
    const std::vector<KvKind> kinds = kv_kinds(world.config);
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      const std::uint32_t least =
          most_kv_blocks_until(kinds[kind], options.max_context, options.prefill_chunk);
      world.shape.kv.blocks[kind] = least + static_cast<std::uint32_t>(random.below(4));
    }
    world.pipeline.restart(world.shape);
    std::map<RequestId, std::string> expected;
    std::set<RequestId> cancelled;
    for (RequestId id = 1; id <= 12; ++id) {
      const std::string prompt(1 + random.below(150), static_cast<char>('a' + random.below(25)));
      const auto max_tokens = static_cast<std::uint32_t>(1 + random.below(200 - prompt.size()));
      expected[id] = scripted_answer({prompt.begin(), prompt.end()}, id, max_tokens);
      world.submit(id, scripted_request(prompt, max_tokens, id));
      for (std::size_t i = random.below(8); i > 0; --i) {
        world.pipeline.take_steps();
        world.pipeline.answer_one();
      }
      if (random.below(5) == 0 && !finish_of(world.pipeline.events[id])) {
        world.scheduler.cancel(id);
        cancelled.insert(id);
      }
    }
    world.pipeline.run();
    for (const auto& [id, text] : expected) {
      if (!cancelled.contains(id)) CHECK(text_of(world.pipeline.events[id]) == text);
    }
    world.check_idle();
  }
}

TEST_CASE("what a cancelled request held is free within one step") {
  World world(8);
  world.submit(1, scripted_request(std::string(180, 'a'), 10));
  world.submit(2, scripted_request(std::string(180, 'b'), 10));
  for (int i = 0; i < 6; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  CHECK(world.scheduler.counts().queued == 1);
  world.scheduler.cancel(1);
  const std::size_t before = world.pipeline.history().size();
  world.pipeline.answer_one();  // room for a step
  world.pipeline.take_steps();
  REQUIRE(world.pipeline.history().size() > before);
  const StepFrame& next = world.pipeline.history()[before];
  CHECK((next.groups.front().flags & kCloses) != 0);
  CHECK(next.groups.size() == 2);  // and the one that waited begins in the same step
  world.pipeline.run();
  CHECK_FALSE(finish_of(world.pipeline.events[1]));
  CHECK(finish_of(world.pipeline.events[2]));
  world.scheduler.cancel(77);  // unknown: nothing happens
  world.check_idle();
}

TEST_CASE("a long prompt does not hold up those that decode, and they do not starve it") {
  World world;
  for (RequestId id = 1; id <= 3; ++id) world.submit(id, scripted_request("ab", 40, id));
  for (int i = 0; i < 6; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  const std::size_t before = world.pipeline.history().size();
  world.submit(4, scripted_request(std::string(150, 'x'), 5));
  world.pipeline.run();
  std::uint32_t steps_of_prompt = 0;
  std::uint32_t decoded_meanwhile = 0;
  for (std::size_t i = before; i < world.pipeline.history().size(); ++i) {
    for (const RowGroup& group : world.pipeline.history()[i].groups) {
      if (raw(group.sequence) == 4 && group.first_position < 150) {
        CHECK(group.num_rows <= 8);  // busy_prefill_chunk
        ++steps_of_prompt;
      } else if (raw(group.sequence) < 4 && steps_of_prompt > 0 && steps_of_prompt < 19) {
        ++decoded_meanwhile;
      }
    }
  }
  CHECK(steps_of_prompt >= 19);
  CHECK(decoded_meanwhile >= 15);
  CHECK(text_of(world.pipeline.events[4]) == scripted_answer(std::vector<TokenId>(150, 'x'), 1, 5));
  world.check_idle();
}

TEST_CASE("decoding sequences are shared out over the steps that the pipeline holds, in turns") {
  World world;
  for (RequestId id = 1; id <= 6; ++id) world.submit(id, scripted_request("abc", 30, id));
  for (int i = 0; i < 12; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  const std::size_t from = world.pipeline.history().size();
  for (int i = 0; i < 12; ++i) {
    world.pipeline.answer_one();
    world.pipeline.take_steps();
  }
  std::map<SequenceId, int> turns;
  for (std::size_t i = from; i < world.pipeline.history().size(); ++i) {
    CHECK(world.pipeline.history()[i].groups.size() <= 3);  // of 6 over 2 stages
    for (const SequenceId id : sequences_in(world.pipeline.history()[i])) ++turns[id];
  }
  int least = 1000;
  int most = 0;
  for (const auto& [id, count] : turns) {
    least = std::min(least, count);
    most = std::max(most, count);
  }
  CHECK(turns.size() == 6);
  CHECK(most - least <= 1);
}

TEST_CASE("a step never has more groups, rows, openings or candidates than its frames may carry") {
  SchedulerOptions options = small_options();
  options.prefill_chunk = options.busy_prefill_chunk = 512;
  options.max_queue = 200;
  World world(400, 0, options);
  world.shape.max_rows = kMaxRowsPerStep;
  world.shape.max_sequences = 100;
  world.pipeline.restart(world.shape);
  for (RequestId id = 1; id <= 100; ++id) world.submit(id, scripted_request("abcd", 3, id));
  world.pipeline.run();
  for (const StepFrame& frame : world.pipeline.history()) {
    CHECK(frame.groups.size() <= kMaxGroupsPerStep);
    CHECK(frame.ids.size() <= kMaxRowsPerStep);
    CHECK(frame.opens.size() <= 16);
  }
  for (RequestId id = 1; id <= 100; ++id) CHECK(finish_of(world.pipeline.events[id]));
  world.check_idle();
}

TEST_CASE("echo judges every prompt row once and in order, over chunks, parking and a new epoch") {
  World world(7);
  InferenceRequest request = scripted_request(std::string(60, 'e'), 20);
  request.echo_logprobs = true;
  request.digest = true;
  world.submit(1, scripted_request(std::string(50, 'o'), 80, 2));
  world.submit(2, request);
  for (int i = 0; i < 9; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  world.shape.epoch = make_epoch(1, 2);
  world.pipeline.restart(world.shape);
  world.pipeline.run();
  std::vector<std::uint32_t> rows;
  std::vector<bool> known;
  for (const InferenceEvent& event : world.pipeline.events[2]) {
    const auto* row = std::get_if<PromptTokenEvent>(&event);
    if (!row) continue;
    rows.push_back(row->row);
    known.push_back(row->has_logprob);
  }
  REQUIRE(rows.size() == 60);
  for (std::uint32_t i = 0; i < 60; ++i) CHECK(rows[i] == i);
  CHECK(std::count(known.begin(), known.end(), false) == 1);
  CHECK_FALSE(known.back());
  CHECK(text_of(world.pipeline.events[2]) == scripted_answer(request.prompt, 1, 20));
  REQUIRE(finish_of(world.pipeline.events[2]));
  CHECK(finish_of(world.pipeline.events[2])->digest.size() == 32);
  world.check_idle();

  World undisturbed;
  undisturbed.submit(2, request);
  undisturbed.pipeline.run();
  CHECK(finish_of(undisturbed.pipeline.events[2])->digest == finish_of(world.pipeline.events[2])->digest);
}

TEST_CASE("a request for no tokens is scored and finished") {
  for (const bool echo : {true, false}) {
    World world;
    InferenceRequest request = scripted_request(std::string(40, 's'), 0);
    request.echo_logprobs = echo;
    world.submit(1, request);
    world.pipeline.run();
    REQUIRE(finish_of(world.pipeline.events[1]));
    CHECK(finish_of(world.pipeline.events[1])->completion_tokens == 0);
    CHECK(finish_of(world.pipeline.events[1])->reason == FinishReason::Length);
    world.check_idle();
  }
}

TEST_CASE("a request that cannot be served is refused with a reason and leaves nothing behind") {
  World world;
  const auto refused_as = [&](InferenceRequest request) {
    static RequestId id = 100;
    world.submit(++id, std::move(request));
    world.pipeline.collect();
    const FailedEvent* failed = failure_of(world.pipeline.events[id]);
    return failed ? failed->api_code : std::string("taken");
  };
  CHECK(refused_as(scripted_request("", 5)) == "empty_prompt");
  CHECK(refused_as(scripted_request(std::string(201, 'a'), 0)) == "context_length_exceeded");
  CHECK(refused_as(scripted_request(std::string(200, 'a'), 1)) == "context_length_exceeded");
  InferenceRequest stray = scripted_request("abc", 5);
  stray.prompt.push_back(128);
  CHECK(refused_as(stray) == "invalid_value");
  stray.prompt.back() = -1;
  CHECK(refused_as(stray) == "invalid_value");
  InferenceRequest broken = scripted_request("abc", 5);
  broken.sampling.temperature = std::numeric_limits<float>::quiet_NaN();
  CHECK(refused_as(broken) == "invalid_value");
  InferenceRequest biased = scripted_request("abc", 5);
  biased.sampling.logit_bias.push_back({500, 1.0f});
  CHECK(refused_as(biased) == "invalid_value");
  world.pipeline.run();
  world.check_idle();
}

TEST_CASE("only those that wait count against the queue's length") {
  World world;
  world.shape.max_sequences = 6;
  world.pipeline.restart(world.shape);
  for (RequestId id = 1; id <= 10; ++id) world.submit(id, scripted_request("abc", 4));
  CHECK(world.scheduler.counts().running == 6);
  CHECK(world.scheduler.counts().queued == 4);
  world.submit(11, scripted_request("abc", 4));
  world.pipeline.collect();
  REQUIRE(failure_of(world.pipeline.events[11]));
  CHECK(failure_of(world.pipeline.events[11])->api_code == "queue_full");
  CHECK(failure_of(world.pipeline.events[11])->code == ErrorCode::Unavailable);
}

TEST_CASE("an answer fills its context and ends as too long") {
  World world;
  world.submit(1, scripted_request(std::string(190, 'a'), 100));
  world.pipeline.run();
  REQUIRE(finish_of(world.pipeline.events[1]));
  CHECK(finish_of(world.pipeline.events[1])->completion_tokens == 10);
  CHECK(finish_of(world.pipeline.events[1])->reason == FinishReason::Length);
  world.check_idle();
}

}  // namespace shoal
