#include "partition/device_prices.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "brute_force.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

PlanProblem problem_of(std::uint64_t seed) {
  PlanProblem problem = random_problem(seed, {.num_devices = 2 + static_cast<std::uint32_t>(seed % 4),
                                              .num_layers = 2 + static_cast<std::uint32_t>(seed / 4 % 4),
                                              .tight_memory = seed % 3 != 0});
  add_random_rules(problem, seed);
  problem.expected_tokens = 0;
  return problem;
}

// What a test looks at: the space of all devices under the latency's times.
struct Case {
  explicit Case(const PlanProblem& problem)
      : tables(problem),
        times(problem, Objective::Latency, 1.0),
        space(problem, tables, times, usable_devices(problem, tables)) {}
  ProblemTables tables;
  StageTimes times;
  SearchSpace space;
};

bool uses(const JudgedPlan& plan, std::uint32_t device) {
  return std::any_of(plan.stages.begin(), plan.stages.end(),
                     [&](const auto& stage) { return stage.device == device; });
}

double least_latency(const std::vector<JudgedPlan>& plans) {
  double least = kNever;
  for (const JudgedPlan& plan : plans) least = std::min(least, plan.latency);
  return least;
}

}  // namespace

TEST_CASE("no plan takes less than the bound at any prices") {
  int with_rings = 0;
  for (std::uint64_t seed = 1; seed <= 150; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    Case c(problem);
    const double truth = least_latency(all_plans(problem));
    std::mt19937_64 random(seed);
    for (int i = 0; i < 5; ++i) {
      DevicePrices prices;
      for (std::uint32_t v = 0; v < c.space.num_devices(); ++v)
        prices.push_back(i == 0 ? 0 : static_cast<double>(random() % 1000) * 1e-6);
      CHECK(bound_at_prices(c.space, prices) <= truth * (1 + 1e-9));
    }
    with_rings += c.space.any_ring() ? 1 : 0;
  }
  if (!kIsSlowRun) CHECK(with_rings > 30);
}

TEST_CASE("prices raise the bound, and what they say of each device is true") {
  int raised = 0, tight = 0, bounded = 0;
  for (std::uint64_t seed = 1; seed <= 300; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    Case c(problem);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    const double truth = least_latency(plans);
    for (const double target : {truth, kNever}) {
      const PricedBound priced = raise_prices(c.space, target, 10'000'000);
      CHECK(priced.lower_bound <= truth * (1 + 1e-9));
      if (plans.empty()) continue;
      CHECK(priced.lower_bound >= bound_at_prices(c.space, {}) * (1 - 1e-9));
      raised += priced.lower_bound > bound_at_prices(c.space, {}) * (1 + 1e-6);
      tight += priced.lower_bound > truth * (1 - 1e-6);
      ++bounded;
      for (std::uint32_t v = 0; v < c.space.num_devices(); ++v) {
        for (const JudgedPlan& plan : plans) {
          if (uses(plan, c.space.device(v))) REQUIRE(priced.through[v] <= plan.latency * (1 + 1e-9));
        }
      }
    }
  }
  MESSAGE(raised << " of " << bounded << " bounds raised, " << tight << " to the truth");
  if (!kIsSlowRun) CHECK(raised > bounded / 20);
  if (!kIsSlowRun) CHECK(tight > bounded / 2);
}

TEST_CASE("prices forbid a ceiling only where no plan keeps it") {
  int forbidden = 0, impossible = 0;
  for (std::uint64_t seed = 1; seed <= 150; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = problem_of(seed);
    problem.rows_per_step = 1;
    Case c(problem);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    const StageTimes busy = busyness(problem, 1);
    double least = kNever, most = 0;
    for (const JudgedPlan& plan : plans) {
      least = std::min(least, plan.bottleneck);
      most = std::max(most, plan.bottleneck);
    }
    for (const double ceiling : {0.5 * least, 0.9 * least, least * (1 + 1e-9), most * (1 + 1e-9)}) {
      const SearchSpace space(problem, c.tables, c.times, usable_devices(problem, c.tables),
                              {&busy, ceiling});
      const bool forbids = prices_forbid(problem, space, 5'000'000);
      if (!plans.empty() && ceiling >= least) REQUIRE_FALSE(forbids);
      forbidden += forbids;
      impossible += plans.empty() || ceiling < least;
    }
  }
  MESSAGE(forbidden << " of " << impossible << " impossible ceilings are forbidden");
  if (!kIsSlowRun) CHECK(forbidden > impossible / 2);
}

}  // namespace shoal
