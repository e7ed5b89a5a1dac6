#include "partition/pareto.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

// The plans of which none is better in one and not worse in the other.
std::vector<JudgedPlan> slow_front(std::vector<JudgedPlan> plans) {
  std::sort(plans.begin(), plans.end(), [](const JudgedPlan& a, const JudgedPlan& b) {
    return a.latency != b.latency ? a.latency < b.latency : a.bottleneck < b.bottleneck;
  });
  std::vector<JudgedPlan> front;
  for (const JudgedPlan& plan : plans) {
    if (front.empty() || plan.bottleneck < front.back().bottleneck * (1 - 1e-8)) front.push_back(plan);
  }
  return front;
}

}  // namespace

TEST_CASE("the front holds exactly the plans that no other beats") {
  int points = 0, fronts = 0;
  for (std::uint64_t seed = 1; seed <= 250; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                                                .num_layers = 1 + static_cast<std::uint32_t>(seed / 5 % 5),
                                                .uniform_layers = seed % 2 == 0,
                                                .tight_memory = seed % 3 == 0});
    if (seed % 4 == 0) problem.rows_per_step = 1;
    if (seed % 5 == 0) add_random_rules(problem, seed);
    const std::vector<JudgedPlan> truth = slow_front(all_plans(problem));
    const Result<std::vector<Plan>> front = pareto_front(problem);
    REQUIRE(front.has_value() == !truth.empty());
    if (!front) continue;
    REQUIRE(front->size() == truth.size());
    for (std::size_t i = 0; i < truth.size(); ++i) {
      CHECK((*front)[i].optimal);
      CHECK(slow_latency(problem, (*front)[i].stages, true) ==
            doctest::Approx(truth[i].latency).epsilon(1e-7));
      CHECK(slow_bottleneck(problem, (*front)[i].stages, true) ==
            doctest::Approx(truth[i].bottleneck).epsilon(1e-7));
    }
    points += static_cast<int>(truth.size());
    ++fronts;
  }
  MESSAGE(points << " plans on " << fronts << " fronts");
  if (!kIsSlowRun) CHECK(points > fronts * 3 / 2);
}

TEST_CASE("a long front is told from its soonest plan on and ends with the least busy one") {
  PlanProblem problem = random_cluster(3, {.num_devices = 7, .total_memory = 8});
  const Result<std::vector<Plan>> front = pareto_front(problem);
  REQUIRE(front);
  REQUIRE(front->size() > 4);
  const Result<std::vector<Plan>> some = pareto_front(problem, 3);
  REQUIRE(some);
  REQUIRE(some->size() == 3);
  CHECK(some->at(0).stages == front->at(0).stages);
  CHECK(some->at(1).stages == front->at(1).stages);
  CHECK(some->at(2).prediction.bottleneck_seconds ==
        doctest::Approx(front->back().prediction.bottleneck_seconds).epsilon(1e-9));
}

TEST_CASE("the soonest plan below a limit of the bottleneck is the one that brute force finds") {
  int limited = 0, impossible = 0;
  for (std::uint64_t seed = 1; seed <= 400; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5),
                                                .num_layers = 1 + static_cast<std::uint32_t>(seed / 5 % 4),
                                                .uniform_layers = seed % 2 == 0});
    if (seed % 4 == 0) problem.rows_per_step = 1;
    const std::vector<JudgedPlan> plans = all_plans(problem);
    if (plans.empty()) continue;
    const double quickest_bottleneck = slow_front(plans).front().bottleneck;
    problem.most_bottleneck = quickest_bottleneck * (seed % 3 == 0 ? 0.9 : 0.5);
    double least = kNever;
    for (const JudgedPlan& plan : plans) {
      if (plan.bottleneck <= problem.most_bottleneck) least = std::min(least, plan.latency);
    }
    const Result<Plan> plan = make_plan(problem);
    REQUIRE(plan.has_value() == (least < kNever));
    if (!plan) {
      ++impossible;
      CHECK(plan.error().code() == ErrorCode::Unavailable);
      CHECK(plan.error().message().find("the least is") != std::string::npos);
      continue;
    }
    ++limited;
    CHECK(plan->optimal);
    CHECK(slow_bottleneck(problem, plan->stages) <= problem.most_bottleneck * (1 + 1e-9));
    CHECK(plan->prediction.seconds_per_token == doctest::Approx(least).epsilon(1e-9));
  }
  if (!kIsSlowRun) CHECK(limited > 50);
  if (!kIsSlowRun) CHECK(impossible > 50);
}

}  // namespace shoal
