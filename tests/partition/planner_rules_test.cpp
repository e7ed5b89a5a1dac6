#include <doctest/doctest.h>

#include "brute_force.h"
#include "partition/planner.h"
#include "random_problem.h"

namespace shoal {
namespace {

Error error_of(const PlanProblem& problem) {
  const Result<Plan> plan = make_plan(problem);
  REQUIRE_FALSE(plan.has_value());
  return plan.error();
}

std::uint32_t holder(const Plan& plan, std::uint32_t unit) {
  for (const PlannedStage& stage : plan.stages) {
    if (stage.units.contains(unit)) return stage.device;
  }
  return ~0u;
}

}  // namespace

TEST_CASE("a pinned unit runs where it is pinned, and what stands in its way is told") {
  PlanProblem problem = equal_devices(3, 6);
  problem.ring = Ring::NoDevice;
  problem.pins = {{4, 2}};
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(holder(*plan, 4) == 2);
  SUBCASE("a device cannot have two runs of units") {
    problem.pins = {{1, 0}, {3, 1}, {5, 0}};
    CHECK(error_of(problem).code() == ErrorCode::Unavailable);
    CHECK(error_of(problem).message().find("keeps every pin and ban") != std::string::npos);
    problem.pins = {{0, 0}, {3, 1}, {7, 0}};
    problem.ring = Ring::OneDevice;
    problem.ring_device = 1;
    CHECK(error_of(problem).code() == ErrorCode::Unavailable);
    problem.ring_device = 0;
    CHECK(make_plan(problem)->stages.size() == 3);
  }
  SUBCASE("a pinned unit that does not fit") {
    problem.devices[2].memory_bytes = 3'000'000;
    CHECK(error_of(problem).code() == ErrorCode::OutOfMemory);
    CHECK(error_of(problem).message().find(
              "layer 3 alone needs 5.10 MB and the roomiest that may run it, device 2") != std::string::npos);
  }
  SUBCASE("banned where it is pinned") {
    problem.devices[2].bans = {false, false, false, false, true, false, false, false};
    CHECK(error_of(problem).message().find("layer 3 may run on no device") != std::string::npos);
  }
  SUBCASE("malformed pins") {
    problem.pins = {{4, 2}, {4, 1}};
    CHECK(error_of(problem).message().find("layer 3 is pinned twice") != std::string::npos);
    problem.pins = {{9, 0}};
    CHECK(error_of(problem).code() == ErrorCode::InvalidArgument);
    problem.pins = {{1, 3}};
    CHECK(error_of(problem).code() == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("nothing crosses a closed link") {
  PlanProblem problem = equal_devices(3, 6);
  problem.ring = Ring::NoDevice;
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 21'000'000;  // four units each
  problem.links[0][1].closed = problem.links[0][2].closed = true;
  const Result<Plan> plan = make_plan(problem);
  REQUIRE(plan);
  CHECK(plan->stages.back().device != 1 + (plan->stages.front().device == 1 ? 1 : 5));
  CHECK(slow_obeys(problem, plan->stages));
  for (auto& row : problem.links) {
    for (LinkProfile& link : row) link.closed = true;
  }
  CHECK(error_of(problem).code() == ErrorCode::Unavailable);
  CHECK(error_of(problem).message().find("does without a closed link") != std::string::npos);
}

TEST_CASE("memory kept for others and KV of several sequences are memory") {
  PlanProblem problem = equal_devices(2, 6);
  problem.ring = Ring::NoDevice;
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 41'000'000;  // all eight units with KV
  CHECK(make_plan(problem)->stages.size() == 1);
  SUBCASE("standby") {
    for (DeviceProfile& device : problem.devices) device.standby_bytes = 5'000'000;
    const Result<Plan> plan = make_plan(problem);
    REQUIRE(plan);
    CHECK(plan->stages.size() == 2);
    CHECK(plan->prediction.memory_bytes[0] >= 5'000'000);
  }
  SUBCASE("sequences") {
    problem.num_sequences = 4;  // eight units of 4 + 4 MB
    CHECK(make_plan(problem)->stages.size() == 2);
    problem.num_sequences = 8;
    CHECK(error_of(problem).message().find("KV 64 MB") != std::string::npos);
    problem.num_sequences = 0;
    CHECK(error_of(problem).code() == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("a repair keeps to the rules") {
  PlanProblem problem = equal_devices(4, 10);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 31'000'000;  // six units each
  Plan before;
  before.stages = {{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}};
  problem.devices[0].bans.assign(12, false);
  problem.devices[0].bans[4] = true;  // cannot go on where it ends
  const Result<Plan> after = repair_plan(problem, before, {1});
  REQUIRE(after);
  CHECK(slow_obeys(problem, after->stages));
  CHECK(holder(*after, 4) != 0);
  problem.links[0][2].closed = problem.links[0][3].closed = true;
  const Result<Plan> again = repair_plan(problem, before, {1});
  if (again) CHECK(slow_obeys(problem, again->stages));
}

}  // namespace shoal
