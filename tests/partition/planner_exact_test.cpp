#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "brute_force.h"
#include "partition/planner.h"
#include "partition/problem_check.h"
#include "partition/uniform_search.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

struct Tally {
  int problems = 0;
  int infeasible = 0;
  int several_devices = 0;
  int returns = 0;  // the first device runs the last units too
  int bound_by_min_stages = 0;
};

void check_against_brute_force(const PlanProblem& problem, Tally& tally) {
  const std::optional<BruteForceBest> truth = brute_force(problem);
  const Result<Plan> plan = make_plan(problem);
  ++tally.problems;
  if (plan.has_value() != truth.has_value()) CAPTURE((plan ? std::string("a plan") : plan.error().message()));
  REQUIRE(plan.has_value() == truth.has_value());
  if (!truth) {
    ++tally.infeasible;
    return;
  }
  const bool latency = problem.objective == Objective::Latency;
  CHECK(plan->optimal);
  CHECK(plan->lower_bound <= truth->objective * (1 + 1e-9));
  CHECK(slow_fits(problem, plan->stages));
  CHECK(slow_obeys(problem, plan->stages));
  const double ours =
      latency ? slow_latency(problem, plan->stages, true) : slow_bottleneck(problem, plan->stages, true);
  CHECK(ours == doctest::Approx(truth->objective).epsilon(1e-9));
  CHECK(slow_latency(problem, plan->stages, true) == doctest::Approx(truth->latency).epsilon(1e-9));
  CHECK(plan->prediction.seconds_per_token ==
        doctest::Approx(slow_latency(problem, plan->stages)).epsilon(1e-9));
  CHECK(plan->prediction.bottleneck_seconds ==
        doctest::Approx(slow_bottleneck(problem, plan->stages)).epsilon(1e-9));
  tally.several_devices += plan->stages.size() > 1;
  tally.returns += plan->stages.size() > 1 && plan->stages.front().device == plan->stages.back().device;
  tally.bound_by_min_stages += problem.min_stages > 1;
}

// Of this many; all of them in the long run.
int count_of(int all) {
  const int some = std::getenv("SHOAL_LONG") != nullptr ? all : all / 4;
  return some / static_cast<int>(kCaseStride);
}

Tally check_many(std::uint64_t first_seed, int count, Objective objective, bool uniform, bool rules = false) {
  Tally tally;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(i);
    const ProblemShape shape{.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                             .num_layers = 1 + static_cast<std::uint32_t>(seed / 5 % 5),
                             .uniform_layers = uniform,
                             .tight_memory = seed % 3 != 0};
    PlanProblem problem = random_problem(seed, shape);
    problem.objective = objective;
    if (seed % 4 == 1) problem.min_stages = 1 + static_cast<std::uint32_t>(seed / 4 % 4);
    if (rules) add_random_rules(problem, seed);
    CAPTURE(seed);
    check_against_brute_force(problem, tally);
  }
  std::printf(
      "  %d problems: %d without a plan, %d plans on several devices, %d return to the first, %d with "
      "min_stages\n",
      tally.problems, tally.infeasible, tally.several_devices, tally.returns, tally.bound_by_min_stages);
  return tally;
}

// Every kind of plan must have been the best one somewhere, or the comparison shows little.
void check_variety(const Tally& tally) {
  if (kIsSlowRun) return;  // too few
  CHECK(tally.infeasible > tally.problems / 50);
  CHECK(tally.infeasible < tally.problems / 2);
  CHECK(tally.several_devices > tally.problems / 5);
  CHECK(tally.returns > 0);
  CHECK(tally.bound_by_min_stages > 0);
}

}  // namespace

TEST_CASE("the plan of least latency is the one that brute force finds") {
  check_variety(check_many(1, count_of(6000), Objective::Latency, false));
}

TEST_CASE("the plan of most throughput is the one that brute force finds") {
  check_variety(check_many(100'000, count_of(6000), Objective::Throughput, false));
}

TEST_CASE("pins, bans, closed links, rings and what must be loaded are obeyed, and the best plan is found") {
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    for (const bool uniform : {false, true}) {
      const Tally tally = check_many(600'000, count_of(1500), objective, uniform, true);
      if (kIsSlowRun) continue;
      CHECK(tally.infeasible < tally.problems * 4 / 5);
      CHECK(tally.several_devices > tally.problems / 20);
      CHECK(tally.returns > 0);
    }
  }
}

TEST_CASE("problems with uniform layers get the plan that brute force finds") {
  check_many(200'000, count_of(1500), Objective::Latency, true);
  check_many(300'000, count_of(1500), Objective::Throughput, true);
}

namespace {

// The search that serves uniform layers on many devices, asked directly on few, as make_plan would.
SearchOutcome uniform_answer(const PlanProblem& problem) {
  const ProblemTables tables(problem);
  ObjectiveTimes times(problem);
  std::vector<std::uint32_t> devices;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) devices.push_back(v);
  std::vector<SearchSpace> spaces;
  const bool latency = problem.objective == Objective::Latency;
  for (std::uint32_t n = 1; n <= devices.size(); ++n) {
    spaces.emplace_back(problem, tables, times.for_devices(n), devices);
    spaces.back().min_devices = std::max(1u, problem.min_stages);
    spaces.back().exact_devices = latency ? 0 : n;
  }
  std::vector<const SearchSpace*> by_number(1, nullptr);
  for (const SearchSpace& space : spaces) by_number.push_back(&space);
  return uniform_search(by_number, {});
}

}  // namespace

TEST_CASE("the search for uniform layers agrees with brute force") {
  int returns = 0;
  for (std::uint64_t seed = 400'000; seed < 401'200; ++seed) {
    PlanProblem problem = random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                                                .num_layers = 1 + static_cast<std::uint32_t>(seed / 5 % 5),
                                                .uniform_layers = true,
                                                .tight_memory = seed % 3 != 0});
    problem.objective = seed % 2 ? Objective::Latency : Objective::Throughput;
    if (seed % 4 > 1) problem.min_stages = 1 + static_cast<std::uint32_t>(seed / 4 % 4);
    CAPTURE(seed);
    REQUIRE(has_uniform_layers(problem));
    const std::optional<BruteForceBest> truth = brute_force(problem);
    const SearchOutcome found = uniform_answer(problem);
    REQUIRE(found.found() == truth.has_value());
    if (!truth) continue;
    CHECK(found.objective == doctest::Approx(truth->objective).epsilon(1e-9));
    CHECK(slow_fits(problem, found.stages));
    CHECK(check_stages(problem, found.stages).has_value());
    const double ours = problem.objective == Objective::Latency ? slow_latency(problem, found.stages)
                                                                : slow_bottleneck(problem, found.stages);
    CHECK(ours == doctest::Approx(truth->objective).epsilon(1e-9));
    returns += found.stages.size() > 1 && found.stages.front().device == found.stages.back().device;
  }
  CHECK(returns > 20);
}

}  // namespace shoal
