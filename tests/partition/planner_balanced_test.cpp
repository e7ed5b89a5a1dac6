#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {
namespace {

PlanProblem balanced_problem(std::uint64_t seed, bool uniform) {
  PlanProblem problem = random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                                              .num_layers = 1 + static_cast<std::uint32_t>(seed / 5 % 5),
                                              .uniform_layers = uniform,
                                              .tight_memory = seed % 3 != 0,
                                              .similar_devices = seed % 7 == 0});
  problem.objective = Objective::Balanced;
  const double slacks[] = {0, 0.02, 0.3, 2};
  problem.latency_slack = slacks[seed / 25 % 4];
  if (seed % 4 == 1) problem.min_stages = 1 + static_cast<std::uint32_t>(seed / 4 % 4);
  return problem;
}

std::uint32_t layers_on(const Plan& plan, std::uint32_t device) {
  std::uint32_t count = 0;
  for (const PlannedStage& stage : plan.stages) count += stage.device == device ? stage.units.size() : 0;
  return count;
}

}  // namespace

TEST_CASE("the balanced plan is the one that brute force finds") {
  int several = 0;
  int traded = 0;  // less busy than the plan of least latency
  int infeasible = 0;
  for (std::uint64_t seed = 500'000; seed < 501'200; ++seed) {
    CAPTURE(seed);
    const PlanProblem problem = balanced_problem(seed, seed % 2 == 0);
    const std::optional<BruteForceBest> truth = brute_force_balanced(problem);
    const Result<Plan> plan = make_plan(problem);
    REQUIRE(plan.has_value() == truth.has_value());
    if (!truth) {
      ++infeasible;
      continue;
    }
    CHECK(plan->optimal);
    CHECK(slow_fits(problem, plan->stages));
    CHECK(slow_bottleneck(problem, plan->stages) == doctest::Approx(truth->objective).epsilon(1e-7));
    CHECK(slow_latency(problem, plan->stages) == doctest::Approx(truth->latency).epsilon(1e-7));
    PlanProblem soonest = problem;
    soonest.objective = Objective::Latency;
    const Result<Plan> quick = make_plan(soonest);
    REQUIRE(quick);
    CHECK(plan->lower_bound == doctest::Approx(quick->prediction.seconds_per_token).epsilon(1e-9));
    CHECK(plan->prediction.seconds_per_token <=
          quick->prediction.seconds_per_token * (1 + problem.latency_slack) * (1 + 1e-8));
    several += plan->stages.size() > 1;
    traded += plan->prediction.bottleneck_seconds < quick->prediction.bottleneck_seconds * (1 - 1e-6);
  }
  std::printf(
      "  1200 problems: %d without a plan, %d plans on several devices, %d level out the plan of least "
      "latency\n",
      infeasible, several, traded);
  CHECK(infeasible > 20);
  CHECK(several > 200);
  CHECK(traded > 100);
}

TEST_CASE("equal devices get an even split") {
  PlanProblem problem = equal_devices(3, 30);
  problem.objective = Objective::Balanced;
  problem.min_stages = 3;
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(plan->optimal);
  REQUIRE(num_distinct_devices(plan->stages) == 3);
  for (std::uint32_t v = 0; v < 3; ++v) CHECK(std::abs(static_cast<int>(layers_on(*plan, v)) - 11) <= 1);
  SUBCASE("and one device stays alone where nobody asks for more") {
    problem.min_stages = 1;
    CHECK(make_plan(problem)->stages == std::vector<PlannedStage>{{0, {0, 32}}});
  }
  SUBCASE("a heavy head counts for as many layers as it costs") {
    for (DeviceProfile& device : problem.devices) device.units.back() = {8e-3, 9e-3, 0};
    const Result<Plan> heavy = make_plan(problem);
    REQUIRE(heavy);
    const std::uint32_t last = heavy->stages.back().device;
    CHECK(layers_on(*heavy, last) < 8);
  }
  SUBCASE("a repair shares out what the lost device ran") {
    const Result<Plan> after = repair_plan(problem, *plan, {plan->stages[1].device});
    REQUIRE(after);
    REQUIRE(after->stages.size() == 2);
    CHECK(std::abs(static_cast<int>(after->stages[0].units.size()) - 16) <= 1);
  }
}

TEST_CASE("a device that is faster by more than the slack keeps the layers that it saves time with") {
  PlanProblem problem = equal_devices(2, 30);
  problem.objective = Objective::Balanced;
  problem.min_stages = 2;
  for (UnitCost& cost : problem.devices[1].units) cost.decode *= 0.5, cost.batch32 *= 0.5;
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(layers_on(*plan, 1) >= 29);
  problem.latency_slack = 10;
  const Result<Plan> level = make_plan(problem);
  REQUIRE(level);
  CHECK(layers_on(*level, 1) == doctest::Approx(21).epsilon(0.1));
  problem.latency_slack = NAN;
  CHECK(make_plan(problem).error().code() == ErrorCode::InvalidArgument);
}

TEST_CASE("balancing is quick enough to be done whenever a device comes or goes") {
  const auto time_of = [](const ProblemShape& shape, std::uint64_t seed) {
    PlanProblem problem = random_problem(seed, shape);
    problem.objective = Objective::Balanced;
    problem.min_stages = shape.num_devices / 2;
    const auto start = std::chrono::steady_clock::now();
    (void)make_plan(problem);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  for (const std::uint32_t num_devices : {3u, 7u, 10u, 16u}) {
    double worst = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
      worst = std::max(worst, time_of({.num_devices = num_devices, .num_layers = 30}, seed));
    std::printf("  %u devices, 30 layers: at most %.3f s\n", num_devices, worst);
    CHECK(worst < 60);
  }
}

}  // namespace shoal
