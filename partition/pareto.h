#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// The plans of which no other is both sooner (one stream's time per token) and less busy (the busiest device
// or link, as for Objective::Throughput): the soonest first, each one less busy than the one before, the last
// the least busy of all. Found by lowering the ceiling below the last plan's bottleneck until no plan is
// left, so exact as far as each plan says of itself (Plan::optimal: no plan under its ceiling is sooner;
// lower_bound: its latency's). The problem's objective is not looked at; its most_bottleneck is. A front of
// more than `most_plans` is told from the soonest on, with the least busy plan at the end. Pure and
// deterministic. Errors: as make_plan's.
Result<std::vector<Plan>> pareto_front(const PlanProblem& problem, std::size_t most_plans = 200);

}  // namespace shoal
