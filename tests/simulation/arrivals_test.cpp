#include "simulation/arrivals.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "simulation/failures.h"

namespace shoal {
namespace {

ArrivalPlan plan_of(std::uint32_t requests, double per_second = 4) {
  ArrivalPlan plan;
  plan.requests = requests;
  plan.per_second = per_second;
  plan.seed = 11;
  return plan;
}

}  // namespace

TEST_CASE(
    "requests come as a Poisson process: the mean and the deviation of the gaps are one over the rate") {
  const std::vector<PlannedRequest> requests = make_arrivals(plan_of(20000));
  REQUIRE(requests.size() == 20000);
  double sum = 0, squares = 0, before = 0;
  for (const PlannedRequest& request : requests) {
    const double gap = request.at_seconds - before;
    REQUIRE(gap >= 0);
    sum += gap;
    squares += gap * gap;
    before = request.at_seconds;
  }
  const double mean = sum / 20000;
  CHECK(mean == doctest::Approx(0.25).epsilon(0.03));  // four standard errors of the mean
  CHECK(std::sqrt(squares / 20000 - mean * mean) == doctest::Approx(0.25).epsilon(0.05));
}

TEST_CASE("lengths lie in their range; a log-normal one has its median and its spread") {
  ArrivalPlan plan = plan_of(20000);
  plan.prompt = {10, 20};
  plan.answer = {1, 100000, 90, 2};
  std::vector<PlannedRequest> requests = make_arrivals(plan);
  std::vector<int> seen(21);
  for (const PlannedRequest& request : requests) {
    REQUIRE(request.prompt_tokens >= 10);
    REQUIRE(request.prompt_tokens <= 20);
    ++seen[request.prompt_tokens];
  }
  for (int length = 10; length <= 20; ++length)
    CHECK(seen[length] == doctest::Approx(20000 / 11.0).epsilon(0.12));
  std::ranges::sort(requests, {}, &PlannedRequest::answer_tokens);
  CHECK(requests[10000].answer_tokens == doctest::Approx(90).epsilon(0.03));
  CHECK(requests[20000 * 16 / 100].answer_tokens ==
        doctest::Approx(45).epsilon(0.05));  // one deviation below
  CHECK(requests[20000 * 84 / 100].answer_tokens == doctest::Approx(180).epsilon(0.05));  // and above
  plan.answer = {60, 120, 90, 2};
  for (const PlannedRequest& request : make_arrivals(plan)) {
    REQUIRE(request.answer_tokens >= 60);
    REQUIRE(request.answer_tokens <= 120);
  }
}

TEST_CASE("the same plan gives the same requests, and more of them or faster ones leave the lengths alone") {
  const std::vector<PlannedRequest> some = make_arrivals(plan_of(50));
  CHECK(some == make_arrivals(plan_of(50)));
  const std::vector<PlannedRequest> more = make_arrivals(plan_of(80));
  CHECK(std::ranges::equal(some, std::vector(more.begin(), more.begin() + 50)));
  const std::vector<PlannedRequest> faster = make_arrivals(plan_of(50, 40));
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(faster[i].prompt_tokens == some[i].prompt_tokens);
    CHECK(faster[i].answer_tokens == some[i].answer_tokens);
    CHECK(faster[i].at_seconds == doctest::Approx(some[i].at_seconds / 10));
  }
  ArrivalPlan other = plan_of(50);
  other.seed = 12;
  CHECK(make_arrivals(other) != some);
}

TEST_CASE("arrivals end after their time, and a trace is taken as it is") {
  ArrivalPlan plan = plan_of(1000);
  plan.seconds = 10;
  for (const PlannedRequest& request : make_arrivals(plan)) CHECK(request.at_seconds <= 10);
  plan.trace = {{0.5, 3, 4}, {2, 5, 6}, {11, 7, 8}};
  CHECK(make_arrivals(plan) == std::vector<PlannedRequest>{{0.5, 3, 4}, {2, 5, 6}});
  plan.requests = 1;
  CHECK(make_arrivals(plan).size() == 1);
}

TEST_CASE("random failures have their mean time between, and leave a device that is down alone") {
  FailurePlan plan;
  plan.mean_seconds_between = 100;
  plan.random_lasts_seconds = 50;
  plan.planned = {{"b", 7, 3, FailureKind::Process}, {"a", 99999999, 1, FailureKind::Process}};
  const std::vector<PlannedFailure> failures = make_failures(plan, {"a", "b"}, 150000, 3);
  CHECK(std::ranges::is_sorted(failures, {}, &PlannedFailure::at_seconds));
  CHECK(std::ranges::count(failures, plan.planned[0]) == 1);
  CHECK(std::ranges::count(failures, plan.planned[1]) == 0);
  double before = -1e9;
  int count = 0;
  for (const PlannedFailure& failure : failures) {
    if (failure.device != "a") continue;
    CHECK(failure.at_seconds >= before + 50);
    CHECK(failure.kind == FailureKind::Power);
    before = failure.at_seconds;
    ++count;
  }
  CHECK(count == doctest::Approx(150000 / 150.0).epsilon(0.1));
  CHECK(make_failures(plan, {"a", "b"}, 150000, 3) == failures);
  plan.random_lasts_seconds = 0;  // for good: once a device
  CHECK(make_failures(plan, {"a"}, 150000, 3).size() == 2);
}

}  // namespace shoal
