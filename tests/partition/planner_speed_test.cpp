#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "partition/pareto.h"
#include "partition/pipelines.h"
#include "partition/planner.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

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

// Processor time: other processes do not count.
template <typename Work>
double seconds_of(Work&& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void add(Timing& timing, const PlanProblem& problem) {
  Result<Plan> plan = fail(ErrorCode::Internal, "not planned");
  const double seconds = seconds_of([&] { plan = make_plan(problem); });
  timing.worst = std::max(timing.worst, seconds);
  timing.sum += seconds;
  ++timing.plans;
  if (!plan) {
    ++timing.infeasible;
    return;
  }
  timing.proven += plan->optimal;
  if (problem.objective == Objective::Balanced) return;  // its bound is another objective's
  const double ours = problem.objective == Objective::Latency ? plan->prediction.seconds_per_token
                                                              : plan->prediction.bottleneck_seconds;
  CHECK(plan->lower_bound <= ours * (1 + 1e-9));
  timing.worst_gap = std::max(timing.worst_gap, ours / plan->lower_bound - 1);
}

const char* name_of(Objective objective) {
  return objective == Objective::Latency      ? "latency"
         : objective == Objective::Throughput ? "throughput"
                                              : "balanced";
}

// Memory from just enough to ample, devices unequal and alike, every kind of ring that the objective allows
// in problem files, or `streams` streams on a cluster where anyone may close it.
Timing time_clusters(Objective objective, ClusterShape shape, int count, std::uint32_t streams = 0) {
  Timing timing;
  const double memory[] = {1.15, 1.3, 1.6, 2.5, 5};
  for (int i = 0; i < count; ++i) {
    shape.total_memory = memory[i % 5] * std::max(1.0, shape.num_devices / 16.0);
    shape.similar_devices = i / 5 % 3 == 2;
    shape.ring = streams > 0                                ? Ring::AnyDevice
                 : objective == Objective::Latency && i % 2 ? Ring::OneDevice
                                                            : Ring::NoDevice;
    PlanProblem problem = random_cluster(900'000 + static_cast<std::uint64_t>(i), shape);
    problem.objective = objective;
    if (streams > 0) problem.rows_per_step = 0, problem.num_streams = streams;
    add(timing, problem);
  }
  std::printf(
      "  %3u devices, layers %s, %s%s: mean %.1f ms, worst %.1f ms; %d proven, %d impossible of %d, worst "
      "gap %.2f %%\n",
      shape.num_devices, shape.uniform_layers ? "alike" : "unequal", name_of(objective),
      streams > 0 ? " of many streams" : "", 1e3 * timing.sum / timing.plans, 1e3 * timing.worst,
      timing.proven, timing.infeasible, timing.plans, 100 * timing.worst_gap);
  std::fflush(stdout);
  return timing;
}

int count_of(int all) {
  return std::max(1, (std::getenv("SHOAL_LONG") != nullptr ? 8 * all : all) / static_cast<int>(kCaseStride));
}

bool all_settled(const Timing& timing) { return timing.proven + timing.infeasible == timing.plans; }

// Twice what is promised, since processors differ; not judged under sanitizers.
bool is_within(const Timing& timing, double promised) { return kIsSlowRun || timing.worst < 2 * promised; }

}  // namespace

TEST_CASE("up to ten devices are proven whatever the layers are, twelve within half a second") {
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    for (const bool uniform : {true, false}) {
      CHECK(
          all_settled(time_clusters(objective, {.num_devices = 7, .uniform_layers = uniform}, count_of(15))));
      CHECK(all_settled(
          time_clusters(objective, {.num_devices = 10, .uniform_layers = uniform}, count_of(15))));
      const Timing twelve =
          time_clusters(objective, {.num_devices = 12, .uniform_layers = uniform}, count_of(30));
      CHECK(all_settled(twelve));
      CHECK(is_within(twelve, 0.5));
    }
  }
}

TEST_CASE("sixteen devices with layers alike are proven in about a second") {
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    const Timing alike = time_clusters(objective, {.num_devices = 16}, count_of(30));
    CHECK(all_settled(alike));
    CHECK(is_within(alike, 1));
    const Timing unequal =
        time_clusters(objective, {.num_devices = 16, .uniform_layers = false}, count_of(15));
    CHECK(is_within(unequal, 1));
    CHECK(unequal.worst_gap < 0.25);
  }
}

TEST_CASE("two hundred devices are planned within two seconds, with a bound") {
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    for (const bool uniform : {true, false}) {
      const Timing many =
          time_clusters(objective, {.num_devices = 200, .uniform_layers = uniform}, count_of(6));
      CHECK(is_within(many, 2));
      CHECK(many.worst_gap < 0.05);
    }
    const Timing some = time_clusters(objective, {.num_devices = 40, .uniform_layers = false}, count_of(10));
    CHECK(is_within(some, 2));
    CHECK(some.worst_gap < 0.05);
  }
}

TEST_CASE("a cluster's own plans are quick enough to be made whenever a device comes or goes") {
  for (const Objective objective : {Objective::Latency, Objective::Balanced, Objective::Throughput}) {
    for (const std::uint32_t num_devices : {3u, 7u, 10u, 16u}) {
      const Timing timing =
          time_clusters(objective, {.num_devices = num_devices}, count_of(10), /*streams=*/16);
      CHECK(is_within(timing, num_devices <= 10 ? 0.5 : 2));
      if (num_devices <= 10) CHECK(all_settled(timing));
    }
  }
  CHECK(
      is_within(time_clusters(Objective::Throughput, {.num_devices = 100}, count_of(3), /*streams=*/16), 3));
}

TEST_CASE("fronts and pipelines side by side are quick enough to be shown") {
  PlanProblem problem = random_cluster(1, {.num_devices = 10, .total_memory = 6});
  Result<std::vector<Plan>> front = fail(ErrorCode::Internal, "not planned");
  const double seconds = seconds_of([&] { front = pareto_front(problem); });
  REQUIRE(front);
  std::printf("  a front of %zu plans on 10 devices: %.0f ms\n", front->size(), 1e3 * seconds);
  if (!kIsSlowRun) CHECK(seconds < 4);
  PlanProblem many = random_cluster(2, {.num_devices = kIsSlowRun ? 30u : 200u, .total_memory = 60});
  Result<Pipelines> pipelines = fail(ErrorCode::Internal, "not planned");
  const double planning = seconds_of([&] { pipelines = make_pipelines(many); });
  REQUIRE(pipelines);
  std::printf("  %zu pipelines on 200 devices: %.0f ms\n", pipelines->plans.size(), 1e3 * planning);
  if (!kIsSlowRun) CHECK(planning < 20);
}

}  // namespace shoal
