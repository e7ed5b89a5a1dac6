// The planner's single searches, each asked for what brute force can tell.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "brute_force.h"
#include "partition/busy_bound.h"
#include "partition/order_search.h"
#include "partition/problem_check.h"
#include "partition/reach_search.h"
#include "partition/soonest_search.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

PlanProblem problem_of(std::uint64_t seed) {
  PlanProblem problem = random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                                              .num_layers = 2 + static_cast<std::uint32_t>(seed / 5 % 3),
                                              .tight_memory = seed % 3 != 0});
  if (seed % 2 == 0) add_random_rules(problem, seed);
  problem.rows_per_step = 2;
  return problem;
}

std::vector<std::uint32_t> devices_of(const std::vector<PlannedStage>& stages) {
  std::vector<std::uint32_t> devices;
  for (const PlannedStage& stage : stages) devices.push_back(stage.device);
  return devices;
}

double some_bottleneck(const std::vector<JudgedPlan>& plans, std::uint64_t seed) {
  return plans.empty() ? 1.0 : plans[seed * 7919 % plans.size()].bottleneck;
}

}  // namespace

TEST_CASE("a plan is found under a ceiling exactly where brute force knows one") {
  int found_some = 0, found_none = 0, rings = 0;
  for (std::uint64_t seed = 1; seed <= 600; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    const ProblemTables tables(problem);
    const StageTimes one_row(problem, Objective::Latency, 1.0);
    const StageTimes busy = busyness(problem, 1);
    for (const double factor : {1.0 - 1e-6, 1.0 + 1e-9, 0.5}) {
      const double ceiling = factor * some_bottleneck(plans, seed);
      const SearchSpace space(problem, tables, one_row, usable_devices(problem, tables), {&busy, ceiling});
      REQUIRE(ReachSearch::serves(space));
      const auto found = ReachSearch(space).find();
      const bool exists =
          std::any_of(plans.begin(), plans.end(), [&](const auto& p) { return p.bottleneck <= ceiling; });
      REQUIRE(found.has_value() == exists);
      (exists ? found_some : found_none) += 1;
      if (!found) continue;
      CHECK(check_stages(problem, *found));
      CHECK(slow_fits(problem, *found));
      CHECK(slow_obeys(problem, *found));
      CHECK(slow_bottleneck(problem, *found, true) <= ceiling * (1 + 1e-12));
      rings += found->size() > 1 && found->front().device == found->back().device;
    }
  }
  if (!kIsSlowRun) CHECK(found_some > 200);
  if (!kIsSlowRun) CHECK(found_none > 200);
  if (!kIsSlowRun) CHECK(rings > 0);
}

TEST_CASE("an order of devices gets the cuts that brute force finds for it") {
  int closed = 0, compared = 0;
  for (std::uint64_t seed = 1; seed <= 300; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = problem_of(seed);
    problem.min_stages = 1 + static_cast<std::uint32_t>(seed % 3);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    const ProblemTables tables(problem);
    const StageTimes one_row(problem, Objective::Latency, 1.0);
    SearchSpace space(problem, tables, one_row, usable_devices(problem, tables));
    space.min_devices = problem.min_stages;
    OrderSearch search(space);
    for (std::size_t i = 0; i < plans.size(); i += 1 + plans.size() / 5) {
      const std::vector<std::uint32_t> devices = devices_of(plans[i].stages);
      double least = INFINITY;
      for (const JudgedPlan& plan : plans) {
        if (devices_of(plan.stages) == devices) least = std::min(least, plan.latency);
      }
      DeviceOrder order;
      order.closes = devices.size() > 1 && devices.front() == devices.back();
      for (const std::uint32_t device : devices) {
        const auto& all = space.devices();
        order.places.push_back(
            static_cast<std::uint32_t>(std::find(all.begin(), all.end(), device) - all.begin()));
      }
      if (order.closes) order.places.pop_back();
      const SearchOutcome cut = search.best_cuts(order);
      REQUIRE(cut.found());
      CHECK(cut.objective == doctest::Approx(least).epsilon(1e-9));
      CHECK(slow_latency(problem, cut.stages, true) == doctest::Approx(least).epsilon(1e-9));
      CHECK(devices_of(cut.stages) == devices);
      closed += order.closes;
      ++compared;
    }
  }
  if (!kIsSlowRun) CHECK(closed > 50);
  if (!kIsSlowRun) CHECK(compared > 500);
}

TEST_CASE("changing the order of devices ends where no single change helps, and often at the best plan") {
  int best_found = 0, problems = 0;
  for (std::uint64_t seed = 1; seed <= 200; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    if (plans.empty()) continue;
    const ProblemTables tables(problem);
    const StageTimes one_row(problem, Objective::Latency, 1.0);
    const SearchSpace space(problem, tables, one_row, usable_devices(problem, tables));
    SearchOutcome start;
    start.stages = plans[seed % plans.size()].stages;
    start.objective = one_row.plan(start.stages);
    const SearchOutcome improved = OrderSearch(space).improve(start, 1'000'000);
    CHECK(improved.objective <= start.objective * (1 + 1e-12));
    CHECK(slow_fits(problem, improved.stages));
    CHECK(slow_obeys(problem, improved.stages));
    CHECK(slow_latency(problem, improved.stages, true) == doctest::Approx(improved.objective).epsilon(1e-9));
    double least = INFINITY;
    for (const JudgedPlan& plan : plans) least = std::min(least, plan.latency);
    CHECK(improved.objective >= least * (1 - 1e-9));
    best_found += improved.objective <= least * (1 + 1e-9);
    ++problems;
  }
  MESSAGE("the best plan from any start in " << best_found << " of " << problems);
  if (!kIsSlowRun) CHECK(best_found > problems * 2 / 3);
}

TEST_CASE(
    "counting what devices can run never rules out a plan, and every bottleneck is one of the listed times") {
  for (std::uint64_t seed = 1; seed <= 200; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem = problem_of(seed);
    const std::vector<JudgedPlan> plans = all_plans(problem);
    const ProblemTables tables(problem);
    const StageTimes busy = busyness(problem, 1);
    const SearchSpace space(problem, tables, busy, usable_devices(problem, tables));
    const double least = least_busy(space);
    for (const JudgedPlan& plan : plans) {
      REQUIRE(least <= plan.bottleneck * (1 + 1e-12));
      REQUIRE(next_busy(space, plan.bottleneck * (1 - 1e-9)) <= plan.bottleneck * (1 + 1e-12));
    }
  }
}

TEST_CASE("prices leave nothing to be searched for that a full search would find") {
  // The same problems with and without room for a short full search: only prices can settle the second.
  for (std::uint64_t seed = 1; seed <= 60; seed += kCaseStride) {
    CAPTURE(seed);
    const PlanProblem problem =
        random_cluster(seed, {.num_devices = 8,
                              .uniform_layers = seed % 2 == 0,
                              .total_memory = 1.3 + 0.1 * static_cast<double>(seed % 8),
                              .ring = static_cast<Ring>(seed % 3)});
    const ProblemTables tables(problem);
    const StageTimes one_row(problem, Objective::Latency, 1.0);
    const SearchSpace space(problem, tables, one_row, usable_devices(problem, tables));
    const SearchOutcome full = soonest_plan(space, {});
    CHECK(full.complete);
    const SearchOutcome quick =
        soonest_plan(space, {}, {.exact_labels = 3'000, .try_labels = 0, .uniform_search = false});
    if (!full.found()) continue;
    CHECK(quick.lower_bound <= full.objective * (1 + 1e-9));
    CHECK(quick.objective >= full.objective * (1 - 1e-9));
    if (quick.complete) CHECK(quick.objective == doctest::Approx(full.objective).epsilon(1e-9));
  }
}

}  // namespace shoal
