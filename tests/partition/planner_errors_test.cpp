#include <doctest/doctest.h>

#include <limits>

#include "partition/planner.h"
#include "partition/problem_check.h"
#include "random_problem.h"

namespace shoal {
namespace {

Error error_of(const PlanProblem& problem) {
  const Result<Plan> plan = make_plan(problem);
  REQUIRE_FALSE(plan.has_value());
  return plan.error();
}

}  // namespace

TEST_CASE("a model that exceeds all devices together is refused with what is short") {
  PlanProblem problem = equal_devices(3, 80);  // 82 units of 4 + 1 MB, 0.1 MB scratch
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 101'000'000;
  problem.fixed_bytes = 1'000'000;
  const Error error = error_of(problem);
  CHECK(error.code() == ErrorCode::OutOfMemory);
  CHECK(error.message() ==
        "the model needs 410 MB (weights 328 MB, KV 82 MB, scratch 0.10 MB) and the devices give 300 MB "
        "after 1.00 MB "
        "each for the process: 110 MB short; add a device or memory, or ask for fewer or shorter sequences");
}

TEST_CASE("a unit greater than every device is named") {
  PlanProblem problem = equal_devices(3, 4);
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 40'000'000;
  problem.devices[1].memory_bytes = 50'000'000;
  problem.units[5].weight_bytes = 60'000'000;
  CHECK(error_of(problem).code() == ErrorCode::OutOfMemory);
  CHECK(error_of(problem).message() ==
        "the head alone needs 61 MB and the roomiest, device 1 (d1), gives 50 MB: 11 MB short");
  problem.units[5].name = "output.weight";
  CHECK(error_of(problem).message().starts_with("output.weight alone needs"));
}

TEST_CASE("where the sum fits but no split does, the unit that finds no room is named") {
  PlanProblem problem = equal_devices(2, 3);  // five units of 5 MB, each device room for two
  for (DeviceProfile& device : problem.devices) device.memory_bytes = 14'000'000;
  const Error error = error_of(problem);
  CHECK(error.code() == ErrorCode::OutOfMemory);
  CHECK(error.message() ==
        "the model needs 25 MB and the devices give 28 MB, but no split into whole units fits: at best 4 of "
        "5 units are placed and the head (5.10 MB) finds no room; 1.10 MB more on each device would do");
}

TEST_CASE("min_stages beyond the devices at hand is refused with both numbers") {
  PlanProblem problem = equal_devices(3, 6);
  problem.min_stages = 5;
  CHECK(error_of(problem).code() == ErrorCode::Unavailable);
  CHECK(error_of(problem).message() ==
        "min_stages asks for 5 devices with a layer each and 3 can hold one: 2 missing");
  problem.min_stages = 7;
  CHECK(error_of(problem).code() == ErrorCode::InvalidArgument);
  problem.min_stages = 3;
  CHECK(make_plan(problem).has_value());
  problem.devices[1].may_compute = false;
  CHECK(error_of(problem).code() == ErrorCode::Unavailable);
}

TEST_CASE("without a device that may compute nothing is planned") {
  PlanProblem problem = equal_devices(2, 3);
  for (DeviceProfile& device : problem.devices) device.may_compute = false;
  CHECK(error_of(problem).code() == ErrorCode::Unavailable);
  const PlanProblem empty = equal_devices(0, 3);
  CHECK(error_of(empty).message() == "no device has joined");
}

TEST_CASE("a malformed problem is refused, with the entry that is wrong") {
  PlanProblem problem = equal_devices(2, 3);
  std::string what;
  SUBCASE("no units") { problem.units.clear(), what = "no units"; }
  SUBCASE("unmeasured units") {
    problem.devices[1].units.pop_back(), what = "device 1 (d1) has 4 measured units, the model 5";
  }
  SUBCASE("missing link row") { problem.links.pop_back(), what = "links are not given"; }
  SUBCASE("short link row") { problem.links[1].pop_back(), what = "device 1 (d1) lacks links"; }
  SUBCASE("no rate") {
    problem.links[0][1].bytes_per_second = 0, what = "from device 0 (d0) to device 1 (d1)";
  }
  SUBCASE("negative latency") { problem.to_hub[0].latency = -1, what = "between the hub and device 0 (d0)"; }
  SUBCASE("not a number") {
    problem.devices[0].units[2].decode = std::numeric_limits<double>::quiet_NaN();
    what = "device 0 (d0) has no valid time for layer 1";
  }
  SUBCASE("infinite context") { problem.context = std::numeric_limits<double>::infinity(), what = "context"; }
  SUBCASE("absurd bytes") {
    problem.units[1].kv_bytes = ~std::uint64_t{0}, what = "layer 0 is given more than 2^50";
  }
  SUBCASE("a head that takes more beside layers than alone") {
    problem.devices[1].scratch = {1, 2, 3, 6}, what = "device 1 (d1) has figures of scratch";
  }
  SUBCASE("absurd scratch") {
    problem.devices[0].scratch.layers_and_head = problem.devices[0].scratch.head = ~std::uint64_t{0};
    what = "device 0 (d0) has figures of scratch";
  }
  SUBCASE("tied beyond its weights") { problem.units[4].tied_bytes = 5'000'000, what = "the head shares"; }
  SUBCASE("layers past the end") { problem.layers = {1, 9}, what = "layers end past its last unit"; }
  const Error error = error_of(problem);
  CHECK(error.code() == ErrorCode::InvalidArgument);
  CAPTURE(error.message());
  CHECK(error.message().find(what) != std::string::npos);
}

}  // namespace shoal
