#include <doctest/doctest.h>

#include <cstdio>
#include <ctime>

#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {
namespace {

struct Timing {
  double worst = 0;
  double sum = 0;
  int plans = 0;
  int proven = 0;
  int infeasible = 0;
  double worst_gap = 0;  // of plans not proven: how far above their lower bound
};

Timing time_plans(Objective objective, ProblemShape shape, int count) {
  Timing timing;
  for (int i = 0; i < count; ++i) {
    shape.tight_memory = i % 2 == 1 && !shape.similar_devices;
    PlanProblem problem = random_problem(900'000 + static_cast<std::uint64_t>(i), shape);
    problem.objective = objective;
    problem.min_stages = i % 4 < 2 ? 1 : 3;
    const std::clock_t start = std::clock();  // processor time: other processes do not count
    const Result<Plan> plan = make_plan(problem);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    timing.worst = std::max(timing.worst, seconds);
    timing.sum += seconds;
    ++timing.plans;
    if (!plan) {
      ++timing.infeasible;
      continue;
    }
    timing.proven += plan->optimal;
    const double ours = objective == Objective::Latency ? plan->prediction.seconds_per_token
                                                        : plan->prediction.bottleneck_seconds;
    CHECK(plan->lower_bound <= ours * (1 + 1e-9));
    timing.worst_gap = std::max(timing.worst_gap, ours / plan->lower_bound - 1);
  }
  std::printf(
      "  %2u devices, %u layers%s%s, %s: mean %.1f ms, worst %.1f ms; %d of %d proven, %d without a plan, "
      "worst gap %.1f %%\n",
      shape.num_devices, shape.num_layers, shape.uniform_layers ? " alike" : "",
      shape.similar_devices ? " (devices alike)" : "",
      objective == Objective::Latency ? "latency" : "throughput", 1e3 * timing.sum / timing.plans,
      1e3 * timing.worst, timing.proven, timing.plans, timing.infeasible, 100 * timing.worst_gap);
  std::fflush(stdout);
  return timing;
}

}  // namespace

// Bounds are several times what a quiet machine needs (release: see the printed figures).
TEST_CASE("planning is quick enough to be done whenever a device comes or goes") {
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    const Timing seven = time_plans(objective, {.num_devices = 7, .num_layers = 30}, 20);
    CHECK(seven.proven + seven.infeasible == seven.plans);
    CHECK(seven.sum / seven.plans < 1.0);
    const Timing ten = time_plans(objective, {.num_devices = 10, .num_layers = 30}, 8);
    CHECK(ten.proven + ten.infeasible == ten.plans);
    const Timing similar =
        time_plans(objective, {.num_devices = 10, .num_layers = 30, .similar_devices = true}, 4);
    CHECK(similar.proven + similar.infeasible == similar.plans);
    CHECK(similar.sum / similar.plans < 20.0);
    const ProblemShape hardest{
        .num_devices = 16, .num_layers = 30, .uniform_layers = true, .similar_devices = true};
    const Timing worst_case = time_plans(objective, hardest, 2);
    CHECK(worst_case.proven + worst_case.infeasible == worst_case.plans);
    const Timing twelve = time_plans(objective, {.num_devices = 12, .num_layers = 30}, 8);
    CHECK(twelve.sum / twelve.plans < 5.0);
    const Timing uniform =
        time_plans(objective, {.num_devices = 16, .num_layers = 30, .uniform_layers = true}, 4);
    CHECK(uniform.proven + uniform.infeasible == uniform.plans);
    CHECK(uniform.sum / uniform.plans < 10.0);
    const Timing many = time_plans(objective, {.num_devices = 40, .num_layers = 30}, 2);
    CHECK(many.sum / many.plans < 20.0);
  }
}

}  // namespace shoal
