#include "partition/pareto.h"

#include <utility>

#include "partition/balanced_search.h"
#include "partition/planner.h"

namespace shoal {
namespace {

constexpr double kClearly = 1e-9;    // relative: less of a difference is rounding
constexpr double kRounding = 1e-12;  // relative

Result<Plan> as_plan(const PlanProblem& problem, const SearchOutcome& found) {
  Result<Prediction> prediction = predict(problem, found.stages);
  if (!prediction) return fail(prediction.error());
  Plan plan;
  plan.stages = found.stages;
  plan.prediction = *std::move(prediction);
  plan.optimal = found.complete;
  plan.lower_bound = found.lower_bound;
  return plan;
}

// What the planner counts, loading included.
double busy_of(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  return busyness(problem, num_distinct_devices(stages)).plan(stages);
}

}  // namespace

Result<std::vector<Plan>> pareto_front(const PlanProblem& problem, std::size_t most_plans) {
  PlanProblem latency = problem;
  latency.objective = Objective::Latency;
  Result<Plan> soonest = make_plan(latency);
  if (!soonest) return fail(soonest.error());
  PlanProblem throughput = problem;
  throughput.objective = Objective::Throughput;
  Result<Plan> least_busy = make_plan(throughput);
  if (!least_busy) return fail(least_busy.error());

  const ProblemTables tables(latency);
  const std::vector<std::uint32_t> devices = usable_devices(latency, tables);
  const StageTimes one_row(latency, Objective::Latency, 1.0);
  std::vector<Plan> front{*std::move(soonest)};
  const double end = busy_of(latency, least_busy->stages);
  while (true) {
    const double ceiling = busy_of(latency, front.back().stages) * (1 - kClearly);
    if (ceiling < end * (1 - kRounding)) break;
    const bool is_last = front.size() + 1 >= most_plans;
    const SearchOutcome found =
        soonest_within(latency, tables, devices, is_last ? end * (1 + kRounding) : ceiling);
    if (!found.found()) break;
    Result<Plan> plan = as_plan(latency, found);
    if (!plan) return fail(plan.error());
    const bool replaces = found.objective <= one_row.plan(front.back().stages) * (1 + kRounding);
    if (replaces) front.pop_back();
    front.push_back(*std::move(plan));
    if (is_last) break;
  }
  return front;
}

}  // namespace shoal
