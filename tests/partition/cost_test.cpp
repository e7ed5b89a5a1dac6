#include <doctest/doctest.h>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {

TEST_CASE("a prediction is the sum of its printed parts") {
  const PlanProblem problem = random_problem(5, {.num_devices = 3, .num_layers = 6});
  const std::vector<PlannedStage> stages{{2, {0, 1}}, {0, {1, 5}}, {1, {5, 7}}, {2, {7, 8}}};
  const Result<Prediction> prediction = predict(problem, stages);
  REQUIRE(prediction);
  REQUIRE(prediction->stage_seconds.size() == 4);
  REQUIRE(prediction->hop_seconds.size() == 5);
  double sum = 0;
  for (const double seconds : prediction->stage_seconds) sum += seconds;
  for (const double seconds : prediction->hop_seconds) sum += seconds;
  CHECK(sum == doctest::Approx(prediction->seconds_per_token).epsilon(1e-12));
  CHECK(prediction->seconds_per_token == doctest::Approx(slow_latency(problem, stages)).epsilon(1e-12));
  CHECK(prediction->bottleneck_seconds == doctest::Approx(slow_bottleneck(problem, stages)).epsilon(1e-12));
}

TEST_CASE("a plan by hand costs what the formulas give by hand") {
  PlanProblem problem = equal_devices(2, 2);
  problem.context = 1000;
  problem.input_bytes = 125;
  problem.result_bytes = 1250;
  problem.num_streams = 8;
  const Result<Prediction> prediction = predict(problem, {{0, {0, 2}}, {1, {2, 4}}});
  REQUIRE(prediction);
  // A unit: 1 ms + 10 us of context; a visit of two: + 50 us. Hops: 0.2 ms + bytes at 125 MB/s.
  CHECK(prediction->stage_seconds[0] == doctest::Approx(2 * 1.01e-3 + 5e-5));
  CHECK(prediction->hop_seconds[0] == doctest::Approx(2e-4 + 1e-6));
  CHECK(prediction->hop_seconds[1] == doctest::Approx(2e-4 + 2304 / 1.25e8));
  CHECK(prediction->hop_seconds[2] == doctest::Approx(2e-4 + 1e-5));
  // Four rows a step: 1 ms + 3/31 of 7 ms + 4 times 10 us a unit, shared by four tokens.
  CHECK(prediction->bottleneck_seconds == doctest::Approx((2 * (1e-3 + 3 * 7e-3 / 31 + 4e-5) + 5e-5) / 4));
  CHECK(prediction->tokens_per_second > 1 / prediction->seconds_per_token);
  CHECK(prediction->tokens_per_second <=
        1 / (8e-3 / 32));  // never beyond what a device does at its best batch
}

TEST_CASE("a device that holds both tied ends keeps the shared bytes once") {
  PlanProblem problem = equal_devices(2, 3);
  problem.fixed_bytes = 1000;
  problem.units[0].tied_group = problem.units[4].tied_group = 1;
  problem.units[0].tied_bytes = problem.units[4].tied_bytes = 3'900'000;
  const std::uint64_t unit = 5'000'000;
  const Result<Prediction> apart = predict(problem, {{0, {0, 2}}, {1, {2, 5}}});
  const Result<Prediction> ring = predict(problem, {{0, {0, 1}}, {1, {1, 4}}, {0, {4, 5}}});
  const Result<Prediction> alone = predict(problem, {{1, {0, 5}}});
  REQUIRE((apart && ring && alone));
  CHECK(apart->memory_bytes == std::vector<std::uint64_t>{2 * unit + 101'000, 3 * unit + 101'000});
  CHECK(ring->memory_bytes == std::vector<std::uint64_t>{2 * unit - 3'900'000 + 201'000, 3 * unit + 101'000});
  CHECK(alone->memory_bytes == std::vector<std::uint64_t>{0, 5 * unit - 3'900'000 + 101'000});
}

TEST_CASE("every stage has its own scratch, by what it holds and by the device's own threads") {
  PlanProblem problem = equal_devices(2, 3);
  problem.devices[0].scratch = {1, 10, 100, 105};
  problem.devices[1].scratch = {2, 20, 200, 210};
  const auto scratch = [&](std::uint32_t device, std::vector<Range> stages) {
    return memory_need(problem, device, stages).scratch;
  };
  CHECK(scratch(0, {{0, 1}}) == 1);
  CHECK(scratch(0, {{0, 2}}) == 10);
  CHECK(scratch(0, {{1, 4}}) == 10);
  CHECK(scratch(0, {{4, 5}}) == 100);
  CHECK(scratch(1, {{3, 5}}) == 210);
  CHECK(scratch(1, {{0, 5}}) == 210);
  CHECK(scratch(0, {{0, 1}, {2, 3}, {4, 5}}) == 111);  // three stages, three workspaces
  CHECK(scratch(0, {{2, 2}}) == 0);
  CHECK(least_scratch(problem) == 105);
  problem.devices[1].scratch = {2, 5, 200, 203};
  problem.devices[0].scratch = {1, 80, 90, 160};
  CHECK(least_scratch(problem) == 95);  // layers on one, the head on the other
}

TEST_CASE("the memory tables agree with counting unit by unit") {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const PlanProblem problem = random_problem(seed, {.num_devices = 1, .num_layers = 6});
    const UnitMemory memory(problem);
    for (std::uint32_t a = 0; a <= 8; ++a) {
      for (std::uint32_t b = a; b <= 8; ++b) {
        const Range between{a, b};
        const std::vector<Range> ends{{0, a}, {b, 8}};
        const MemoryNeed one = memory_need(problem, 0, {&between, 1});
        const MemoryNeed both = memory_need(problem, 0, ends);
        CHECK(memory.of_range(a, b) == one.weights + one.kv);
        CHECK(memory.of_ends(a, b) == both.weights + both.kv);
      }
    }
  }
}

TEST_CASE("stages that do not cover the units are refused in words") {
  const PlanProblem problem = equal_devices(2, 2);
  const auto message = [&](std::vector<PlannedStage> stages) {
    return predict(problem, stages).error().message();
  };
  CHECK(message({}) == "plan: it covers 0 of 4 units");
  CHECK(message({{0, {0, 2}}}) == "plan: it covers 2 of 4 units");
  CHECK(message({{0, {0, 2}}, {1, {3, 4}}}) == "plan: a stage with units [3, 4) where unit 2 should follow");
  CHECK(message({{0, {0, 2}}, {1, {2, 5}}}) == "plan: a stage with units [2, 5) where unit 2 should follow");
  CHECK(message({{0, {0, 0}}, {1, {0, 4}}}) == "plan: a stage with units [0, 0) where unit 0 should follow");
  CHECK(message({{2, {0, 4}}}) == "plan: device 2 of 2 does not exist");
}

}  // namespace shoal
