#include "coordinator/service_meter.h"

#include <doctest/doctest.h>

#include "tests/coordinator/scripted_pipeline.h"

namespace shoal {
namespace {

struct World {
  World()
      : config(scripted_config()),
        scheduler({.max_context = 300, .prefill_chunk = 16, .busy_prefill_chunk = 8, .max_queue = 100},
                  config, letters()),
        pipeline(scheduler, config, scripted_shape(config, 500)) {}
  void submit(RequestId id, const std::string& prompt, std::uint32_t max_tokens) {
    scheduler.submit(id, scripted_request(prompt, max_tokens, id), pipeline.now);
  }
  const ServiceMeter& meter() const { return scheduler.meter(); }

  ModelConfig config;
  Scheduler scheduler;
  ScriptedPipeline pipeline;
};

}  // namespace

TEST_CASE("one stream is timed by its steps, at their context, and its first token from its first row") {
  World world;
  world.submit(1, std::string(40, 'p'), 20);
  world.pipeline.run();  // every answer takes ten milliseconds
  const auto one = world.meter().one_stream();
  REQUIRE(one);
  CHECK(one->seconds == doctest::Approx(0.01));
  CHECK(one->steps == 19);  // the first token came of the prompt
  CHECK(one->context > 40);
  CHECK(one->context < 60);
  REQUIRE(world.meter().first_tokens().size() == 1);
  CHECK(world.meter().first_tokens()[0].prompt_rows == 40);
  CHECK(world.meter().first_tokens()[0].seconds == doctest::Approx(0.03));  // three chunks
  CHECK_FALSE(world.meter().shared());
}

TEST_CASE("a token that shared the pipeline is none of a single stream, and a first one is not told") {
  World world;
  world.submit(1, "abc", 200);
  world.submit(2, "def", 200);
  world.pipeline.run();
  const auto one = world.meter().one_stream();
  CHECK((!one || one->steps < 5));
  CHECK(world.meter().first_tokens().empty());
}

TEST_CASE("several streams are told together with how many they were and how they shared steps") {
  World world;
  for (RequestId id = 1; id <= 4; ++id) world.submit(id, "abc", 200);
  world.pipeline.run();
  const auto shared = world.meter().shared();
  REQUIRE(shared);
  CHECK(shared->streams == doctest::Approx(4).epsilon(0.1));
  // One answer every ten milliseconds.
  CHECK(shared->tokens_per_second == doctest::Approx(100 * shared->rows_per_step).epsilon(0.05));
  CHECK(shared->context > 20);
}

TEST_CASE("what was measured under another plan is forgotten, and a replayed prompt is no first token") {
  World world;
  world.submit(1, std::string(40, 'p'), 50);
  for (int i = 0; i < 2; ++i) {
    world.pipeline.take_steps();
    world.pipeline.answer_one();
  }
  world.pipeline.restart(scripted_shape(world.config, 500, 2));
  CHECK_FALSE(world.meter().one_stream());
  world.pipeline.run();
  CHECK(world.meter().first_tokens().empty());
  CHECK(world.meter().one_stream());
}

TEST_CASE("prompts between decode steps are left out of what streams get together") {
  ServiceMeter meter;
  Time now{std::chrono::seconds(1)};
  const ServiceMeter::Step decode{.rows = 2,
                                  .sequences = 2,
                                  .context = 10,
                                  .is_decode = true,
                                  .was_alone = true,
                                  .streams = 2,
                                  .seconds = 0.01};
  for (int i = 0; i < 1000; ++i) {
    if (i % 100 == 99) {  // a long prompt
      now += std::chrono::seconds(2);
      meter.add({.rows = 256, .sequences = 1, .streams = 2, .seconds = 2}, now);
    }
    now += std::chrono::milliseconds(10);
    meter.add(decode, now);
  }
  REQUIRE(meter.shared());
  CHECK(meter.shared()->tokens_per_second == doctest::Approx(200).epsilon(0.01));
}

}  // namespace shoal
