#include <doctest/doctest.h>

#include <algorithm>

#include "brute_force.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {
namespace {

Plan plan_of(std::vector<PlannedStage> stages) {
  Plan plan;
  plan.stages = std::move(stages);
  return plan;
}

bool uses(const std::vector<PlannedStage>& stages, std::uint32_t device) {
  return std::any_of(stages.begin(), stages.end(), [&](const PlannedStage& s) { return s.device == device; });
}

// Who runs a unit.
std::uint32_t holder(const std::vector<PlannedStage>& stages, std::uint32_t unit) {
  for (const PlannedStage& stage : stages) {
    if (stage.units.contains(unit)) return stage.device;
  }
  return ~0u;
}

bool survivors_keep_theirs(const Plan& before, const Plan& after, std::uint32_t lost) {
  for (std::uint32_t u = 0; u < before.stages.back().units.end; ++u) {
    const std::uint32_t device = holder(before.stages, u);
    if (device != lost && holder(after.stages, u) != device) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("the neighbours take over what a lost device ran") {
  PlanProblem problem = equal_devices(3, 10);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 31'000'000;  // six units each
  const Plan before = plan_of({{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}});
  SUBCASE("in the middle, split between both") {
    const Result<Plan> after = repair_plan(problem, before, {1});
    REQUIRE(after);
    CHECK(after->stages == std::vector<PlannedStage>{{0, {0, 6}}, {2, {6, 12}}});
  }
  SUBCASE("an equally good split is not needed where one neighbour has room for all") {
    problem.devices[2].memory_bytes = 50'000'000;
    const Result<Plan> after = repair_plan(problem, before, {1});
    REQUIRE(after);
    CHECK(after->stages.size() == 2);
    CHECK(survivors_keep_theirs(before, *after, 1));
  }
  SUBCASE("at the start and at the end, the only neighbour's room decides") {
    for (DeviceProfile& device : problem.devices) device.memory_bytes = 45'000'000;
    CHECK(repair_plan(problem, before, {0})->stages == std::vector<PlannedStage>{{1, {0, 8}}, {2, {8, 12}}});
    CHECK(repair_plan(problem, before, {2})->stages == std::vector<PlannedStage>{{0, {0, 4}}, {1, {4, 12}}});
  }
  SUBCASE("two at once") {
    problem.devices[2].memory_bytes = 70'000'000;
    CHECK(repair_plan(problem, before, {1, 0})->stages == std::vector<PlannedStage>{{2, {0, 12}}});
  }
}

TEST_CASE("a device that ran nothing takes over when the neighbours have no room") {
  PlanProblem problem = equal_devices(4, 10);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 21'000'000;  // four units each
  const Plan before = plan_of({{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}});
  CHECK(repair_plan(problem, before, {1})->stages ==
        std::vector<PlannedStage>{{0, {0, 4}}, {3, {4, 8}}, {2, {8, 12}}});
}

TEST_CASE("min_stages does not bind a repair") {
  PlanProblem problem = equal_devices(3, 10);
  problem.min_stages = 3;
  const Result<Plan> before = make_plan(problem);
  REQUIRE(before);
  REQUIRE(num_distinct_devices(before->stages) == 3);
  const Result<Plan> after = repair_plan(problem, *before, {1});
  REQUIRE(after);
  CHECK(num_distinct_devices(after->stages) == 2);
  const Result<Plan> last = repair_plan(problem, *after, {1, 2});
  REQUIRE(last);
  CHECK(last->stages == std::vector<PlannedStage>{{0, {0, 12}}});
}

TEST_CASE("when the survivors cannot hold the model the repair says what is short") {
  PlanProblem problem = equal_devices(3, 10);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 21'000'000;
  const Plan before = plan_of({{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}});
  const Result<Plan> after = repair_plan(problem, before, {1});
  REQUIRE_FALSE(after);
  CHECK(after.error().code() == ErrorCode::OutOfMemory);
  CHECK(after.error().message().find("18 MB short") != std::string::npos);
  CHECK(repair_plan(problem, before, {0, 1, 2}).error().code() == ErrorCode::Unavailable);
  CHECK(repair_plan(problem, before, {3}).error().code() == ErrorCode::InvalidArgument);
}

TEST_CASE("repairs cover all units, fit, spare the lost and leave survivors alone where memory allows") {
  int kept = 0;
  int from_scratch = 0;
  int impossible = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    PlanProblem problem = random_problem(
        seed,
        {.num_devices = 3 + static_cast<std::uint32_t>(seed % 4), .num_layers = 8, .tight_memory = true});
    problem.objective = seed % 2 ? Objective::Latency : Objective::Throughput;
    problem.min_stages = 2;
    const Result<Plan> before = make_plan(problem);
    if (!before) continue;
    for (const PlannedStage& stage : before->stages) {
      CAPTURE(seed);
      CAPTURE(stage.device);
      const Result<Plan> after = repair_plan(problem, *before, {stage.device});
      PlanProblem survivors = problem;
      survivors.devices[stage.device].may_compute = false;
      survivors.min_stages = 1;
      if (!after) {
        ++impossible;
        CHECK_FALSE(make_plan(survivors).has_value());
        continue;
      }
      CHECK(predict(problem, after->stages).has_value());
      CHECK(slow_fits(problem, after->stages));
      CHECK_FALSE(uses(after->stages, stage.device));
      const bool same = survivors_keep_theirs(*before, *after, stage.device);
      (same ? kept : from_scratch) += 1;
      if (!same) CHECK(after->optimal);  // planned anew, so the best there is
    }
  }
  MESSAGE(kept << " repairs left survivors alone, " << from_scratch << " from scratch, " << impossible
               << " impossible");
  CHECK(kept > 100);
  CHECK(impossible > 10);
}

TEST_CASE("a device that is drained keeps what it runs and gets nothing new") {
  PlanProblem problem = equal_devices(3, 10);
  problem.devices[0].may_compute = false;
  const Plan before = plan_of({{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}});
  const Result<Plan> after = repair_plan(problem, before, {1});
  REQUIRE(after);
  CHECK(after->stages == std::vector<PlannedStage>{{0, {0, 4}}, {2, {4, 12}}});
}

}  // namespace shoal
