#include "partition/pipelines.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

// By set of devices: what its least busy plan serves with so many streams and sequences.
std::vector<double> rates_of_sets(const PlanProblem& problem, std::uint32_t num_streams,
                                  std::uint32_t num_sequences) {
  std::vector<double> rates(std::size_t{1} << problem.devices.size(), 0.0);
  for (std::uint32_t set = 1; set < rates.size(); ++set) {
    PlanProblem some = problem;
    some.objective = Objective::Throughput;
    some.num_streams = num_streams;
    some.num_sequences = num_sequences;
    for (std::uint32_t v = 0; v < problem.devices.size(); ++v)
      some.devices[v].may_compute = (set >> v & 1) != 0;
    const std::optional<BruteForceBest> best = brute_force(some);
    if (best) rates[set] = 1 / best->objective;
  }
  return rates;
}

// The most that any division of the devices into so many groups serves, each group with its least busy plan.
double slow_rate(const PlanProblem& problem, std::uint32_t num_groups) {
  const std::uint32_t sequences = (problem.num_sequences + num_groups - 1) / num_groups;
  const std::uint32_t streams = problem.num_streams / num_groups;
  const std::vector<double> with_fewer = rates_of_sets(problem, std::max(1u, streams), sequences);
  const std::vector<double> with_more = rates_of_sets(problem, streams + 1, sequences);
  std::vector<double> most(with_more.size(), -kNever);
  most[0] = 0;
  for (std::uint32_t group = 0; group < num_groups; ++group) {
    const std::vector<double>& rates = group < problem.num_streams % num_groups ? with_more : with_fewer;
    std::vector<double> next(most.size(), -kNever);
    for (std::uint32_t used = 0; used < most.size(); ++used) {
      for (std::uint32_t set = 1; set < rates.size(); ++set) {
        if ((used & set) == 0 && rates[set] > 0)
          next[used | set] = std::max(next[used | set], most[used] + rates[set]);
      }
    }
    most = next;
  }
  return *std::max_element(most.begin(), most.end());
}

double rate_of(const Plan& plan) { return 1 / plan.prediction.bottleneck_seconds; }

}  // namespace

TEST_CASE("pipelines side by side serve about what the best division of the devices serves") {
  double worst = 1, sum = 0;
  int compared = 0, several = 0;
  for (std::uint64_t seed = 1; seed <= 60; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = random_problem(seed, {.num_devices = 2 + static_cast<std::uint32_t>(seed % 3),
                                                .num_layers = 3,
                                                .uniform_layers = seed % 2 == 0});
    for (DeviceProfile& device : problem.devices) device.memory_bytes *= 1 + seed % 3;
    if (seed % 3 == 0) problem.rows_per_step = 1;
    problem.num_sequences = 1 + static_cast<std::uint32_t>(seed % 4);
    double truth = 0;
    for (std::uint32_t n = 1; n <= problem.devices.size(); ++n)
      truth = std::max(truth, slow_rate(problem, n));
    const Result<Pipelines> pipelines = make_pipelines(problem);
    if (truth <= 0) {
      CHECK_FALSE(pipelines);
      continue;
    }
    REQUIRE(pipelines);
    CHECK(pipelines->tokens_per_second <= truth * (1 + 1e-9));
    CHECK(pipelines->upper_bound >= truth * (1 - 1e-9));
    worst = std::min(worst, pipelines->tokens_per_second / truth);
    sum += pipelines->tokens_per_second / truth;
    several += pipelines->plans.size() > 1;
    ++compared;
  }
  MESSAGE(compared << " problems: " << sum / compared << " of the best on average, " << worst << " at worst, "
                   << several << " with several pipelines");
  if (!kIsSlowRun) CHECK(sum / compared > 0.97);
  if (!kIsSlowRun) CHECK(worst > 0.8);
  if (!kIsSlowRun) CHECK(several > compared / 4);
}

TEST_CASE("every pipeline has the whole model, and no device is in two") {
  for (std::uint64_t seed = 1; seed <= 4; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem = random_cluster(
        seed, {.num_devices = 40, .num_layers = 12, .uniform_layers = seed % 2 == 0, .total_memory = 30});
    problem.rows_per_step = 0;
    problem.num_streams = 32;
    const Result<Pipelines> pipelines = make_pipelines(problem);
    REQUIRE(pipelines);
    std::set<std::uint32_t> used;
    double sum = 0;
    for (const Plan& plan : pipelines->plans) {
      CHECK(slow_fits(problem, plan.stages));
      CHECK(slow_obeys(problem, plan.stages));
      std::set<std::uint32_t> own;
      for (const PlannedStage& stage : plan.stages) own.insert(stage.device);
      for (const std::uint32_t device : own) CHECK(used.insert(device).second);
      sum += rate_of(plan);
    }
    CHECK(pipelines->tokens_per_second == doctest::Approx(sum).epsilon(1e-9));
    PlanProblem one = problem;
    one.objective = Objective::Throughput;
    const Result<Plan> single = make_plan(one);
    REQUIRE(single);
    CHECK(pipelines->tokens_per_second >= rate_of(*single) * (1 - 1e-9));
    CHECK(pipelines->upper_bound >= pipelines->tokens_per_second);
    MESSAGE(pipelines->plans.size() << " pipelines: " << pipelines->tokens_per_second << " tokens/s, one: "
                                    << rate_of(*single) << ", bound " << pipelines->upper_bound);
    CHECK(make_pipelines(problem, 1)->plans.size() == 1);
  }
}

TEST_CASE("equal devices that each hold the model serve apart") {
  PlanProblem problem = equal_devices(6, 10);
  problem.rows_per_step = 1;
  const Result<Pipelines> pipelines = make_pipelines(problem);
  REQUIRE(pipelines);
  CHECK(pipelines->plans.size() == 6);
  CHECK(pipelines->optimal());
  for (const Plan& plan : pipelines->plans) CHECK(plan.stages.size() == 1);
}

TEST_CASE("what no pipeline can hold is refused in words") {
  PlanProblem problem = equal_devices(3, 80);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 101'000'000;
  const Result<Pipelines> pipelines = make_pipelines(problem);
  REQUIRE_FALSE(pipelines);
  CHECK(pipelines.error().code() == ErrorCode::OutOfMemory);
  CHECK(pipelines.error().message().find("short") != std::string::npos);
}

}  // namespace shoal
