#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {
namespace {

PlanProblem problem_of(std::uint64_t seed) {
  PlanProblem problem = random_problem(seed, {.num_devices = 2 + static_cast<std::uint32_t>(seed % 5),
                                              .num_layers = 3 + static_cast<std::uint32_t>(seed % 9),
                                              .tight_memory = seed % 2 == 0});
  problem.objective = seed % 4 < 2 ? Objective::Latency : Objective::Throughput;
  return problem;
}

double objective(const PlanProblem& problem, const Plan& plan) {
  return problem.objective == Objective::Latency ? plan.prediction.seconds_per_token
                                                 : plan.prediction.bottleneck_seconds;
}

// Infinite where there is no plan.
double best_time(const PlanProblem& problem) {
  const Result<Plan> plan = make_plan(problem);
  if (!plan) return INFINITY;
  CHECK(plan->optimal);
  return objective(problem, *plan);
}

}  // namespace

TEST_CASE("more of anything never makes the best plan worse") {
  int improved = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    const double before = best_time(problem);
    std::mt19937_64 random(seed);
    PlanProblem more = problem;
    SUBCASE("another device") { add_random_device(more, random, {}); }
    SUBCASE("more memory") {
      for (DeviceProfile& device : more.devices) device.memory_bytes += random() % 20'000'000;
    }
    SUBCASE("faster links") {
      for (auto& row : more.links) {
        for (LinkProfile& link : row) link.bytes_per_second *= 1.0 + static_cast<double>(random() % 100) / 50;
      }
    }
    SUBCASE("a device less busy") {
      for (UnitCost& cost : more.devices[0].units) cost.decode *= 0.7, cost.batch32 *= 0.7;
    }
    const double after = best_time(more);
    CHECK(after <= before * (1 + 1e-9));
    improved += after < before * (1 - 1e-6);
  }
  CHECK(improved > 0);
}

TEST_CASE("twice the time or the bytes of everything is the same problem") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    PlanProblem scaled = problem;
    double factor = 1;
    SUBCASE("time") {
      factor = 4;  // a power of two, so that not a bit of a plan changes
      for (DeviceProfile& device : scaled.devices) {
        device.step_overhead *= factor;
        for (UnitCost& cost : device.units)
          cost.decode *= factor, cost.batch32 *= factor, cost.per_1k_context *= factor;
      }
      const auto slow_down = [&](LinkProfile& link) {
        link.latency *= factor, link.bytes_per_second /= factor;
      };
      for (auto& row : scaled.links) std::for_each(row.begin(), row.end(), slow_down);
      std::for_each(scaled.from_hub.begin(), scaled.from_hub.end(), slow_down);
      std::for_each(scaled.to_hub.begin(), scaled.to_hub.end(), slow_down);
    }
    SUBCASE("bytes in memory") {
      for (UnitShape& unit : scaled.units) unit.weight_bytes *= 3, unit.kv_bytes *= 3, unit.tied_bytes *= 3;
      for (DeviceProfile& device : scaled.devices) {
        device.memory_bytes *= 3;
        StageScratch& scratch = device.scratch;
        scratch = {3 * scratch.embedding, 3 * scratch.layers, 3 * scratch.head, 3 * scratch.layers_and_head};
      }
      scaled.fixed_bytes *= 3;
    }
    const Result<Plan> plan = make_plan(problem);
    const Result<Plan> again = make_plan(scaled);
    REQUIRE(plan.has_value() == again.has_value());
    if (!plan) continue;
    CHECK(objective(scaled, *again) == doctest::Approx(factor * objective(problem, *plan)).epsilon(1e-9));
  }
}

TEST_CASE("the order in which devices are listed changes nothing") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    std::vector<std::uint32_t> order(problem.devices.size());
    std::iota(order.begin(), order.end(), 0u);
    std::mt19937_64 random(seed);
    std::shuffle(order.begin(), order.end(), random);
    const Result<Plan> plan = make_plan(problem);
    const Result<Plan> renamed = make_plan(relabelled(problem, order));
    REQUIRE(plan.has_value() == renamed.has_value());
    if (!plan) continue;
    CHECK(objective(problem, *plan) == doctest::Approx(objective(problem, *renamed)).epsilon(1e-9));
    CHECK(plan->prediction.seconds_per_token ==
          doctest::Approx(renamed->prediction.seconds_per_token).epsilon(1e-9));
  }
}

TEST_CASE("the same problem gets the same plan every time") {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const PlanProblem problem = problem_of(seed);
    const Result<Plan> once = make_plan(problem);
    const Result<Plan> again = make_plan(problem);
    REQUIRE(once.has_value() == again.has_value());
    if (once) CHECK(once->stages == again->stages);
  }
}

TEST_CASE("one device serves alone when hops cost more than they save") {
  PlanProblem problem = equal_devices(4, 10);
  for (UnitCost& cost : problem.devices[2].units) cost.decode *= 0.9;
  Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(plan->optimal);
  CHECK(plan->stages == std::vector<PlannedStage>{{2, {0, 12}}});

  SUBCASE("unless min_stages wants more, and then each holds a layer") {
    for (std::uint32_t wanted = 2; wanted <= 4; ++wanted) {
      problem.min_stages = wanted;
      plan = make_plan(problem);
      REQUIRE(plan);
      CHECK(plan->optimal);
      CHECK(num_layer_devices(problem, plan->stages) >= wanted);
    }
  }
  SUBCASE("and not when many streams keep several busy") {
    problem.objective = Objective::Throughput;
    problem.num_streams = 16;
    plan = make_plan(problem);
    REQUIRE(plan);
    CHECK(num_distinct_devices(plan->stages) == 4);
  }
}

TEST_CASE("equally good plans use the fewest devices, then the lowest indices") {
  PlanProblem problem = equal_devices(5, 8);
  SUBCASE("alone") { CHECK(make_plan(problem)->stages == std::vector<PlannedStage>{{0, {0, 10}}}); }
  SUBCASE("free hops tempt nobody") {
    for (auto& row : problem.links) row.assign(5, {0, 1e30});
    for (DeviceProfile& device : problem.devices) device.step_overhead = 0;
    CHECK(make_plan(problem)->stages == std::vector<PlannedStage>{{0, {0, 10}}});
  }
  SUBCASE("two of five") {
    for (DeviceProfile& device : problem.devices) device.memory_bytes = 26'000'000;
    const Result<Plan> plan = make_plan(problem);
    REQUIRE(plan);
    CHECK(plan->stages == std::vector<PlannedStage>{{0, {0, 5}}, {1, {5, 10}}});
  }
}

TEST_CASE("the head goes to the device that runs it fastest, though that device holds no layer") {
  PlanProblem problem = equal_devices(2, 6);
  problem.devices[0].memory_bytes = 36'000'000;  // seven units and no head
  problem.units[7].weight_bytes = 30'000'000;
  problem.devices[1].memory_bytes = 35'000'000;  // the head and no layer
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(plan->stages == std::vector<PlannedStage>{{0, {0, 7}}, {1, {7, 8}}});
  problem.min_stages = 2;  // now device 1 would need a layer beside the head
  const Result<Plan> none = make_plan(problem);
  REQUIRE_FALSE(none);
  CHECK(none.error().code() == ErrorCode::Unavailable);
}

TEST_CASE("the first device also runs the head when that spares a copy of tied weights") {
  PlanProblem problem = equal_devices(2, 6);
  problem.units[0] = {
      .weight_bytes = 30'000'000, .tied_group = 1, .tied_bytes = 30'000'000, .output_bytes = 2304};
  problem.units[7] = problem.units[0];
  problem.devices[0].memory_bytes = 36'000'000;
  problem.devices[1].memory_bytes = 32'000'000;
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  REQUIRE(plan->stages.size() == 3);
  CHECK(plan->stages.front().device == plan->stages.back().device);
  CHECK(slow_fits(problem, plan->stages));
}

TEST_CASE("plans for many devices are valid, deterministic and above their lower bound") {
  for (const Objective wanted : {Objective::Latency, Objective::Throughput}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      CAPTURE(seed);
      PlanProblem problem = random_problem(seed, {.num_devices = 24 + 25 * static_cast<std::uint32_t>(seed),
                                                  .num_layers = 16,
                                                  .tight_memory = true});
      problem.objective = wanted;
      problem.min_stages = 3;
      const Result<Plan> plan = make_plan(problem);
      REQUIRE(plan);
      CHECK(slow_fits(problem, plan->stages));
      CHECK(predict(problem, plan->stages).has_value());
      CHECK(num_layer_devices(problem, plan->stages) >= 3);
      CHECK(plan->lower_bound > 0);
      CHECK(plan->lower_bound <= objective(problem, *plan) * (1 + 1e-9));
      CHECK(make_plan(problem)->stages == plan->stages);
    }
  }
}

}  // namespace shoal
