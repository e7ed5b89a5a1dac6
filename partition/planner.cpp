#include "partition/planner.h"

#include <algorithm>
#include <utility>

#include "partition/balanced_search.h"
#include "partition/bottleneck_search.h"
#include "partition/cost.h"
#include "partition/feasibility.h"
#include "partition/problem_check.h"
#include "partition/soonest_search.h"

namespace shoal {
namespace {

SearchOutcome search(const PlanProblem& problem) {
  const ProblemTables tables(problem);
  const std::vector<std::uint32_t> devices = usable_devices(problem, tables);
  if (problem.objective == Objective::Throughput) return least_bottleneck(problem, tables, devices);
  if (problem.objective == Objective::Balanced) return balanced_plan(problem, tables, devices);
  if (problem.most_bottleneck > 0) return soonest_within(problem, tables, devices, problem.most_bottleneck);
  const StageTimes one_row(problem, Objective::Latency, 1.0);
  SearchSpace space(problem, tables, one_row, devices);
  space.min_devices = std::max(1u, problem.min_stages);
  return soonest_plan(space, {});
}

// Both: true if there was something to do.
bool open_links(PlanProblem& problem) {
  bool any = false;
  const auto open = [&](LinkProfile& link) {
    any = any || link.closed;
    link.closed = false;
  };
  for (std::vector<LinkProfile>& row : problem.links) std::for_each(row.begin(), row.end(), open);
  std::for_each(problem.from_hub.begin(), problem.from_hub.end(), open);
  std::for_each(problem.to_hub.begin(), problem.to_hub.end(), open);
  return any;
}

bool lift_rules(PlanProblem& problem) {
  bool any = !problem.pins.empty();
  problem.pins.clear();
  for (DeviceProfile& device : problem.devices) {
    any = any || !device.bans.empty();
    device.bans.clear();
  }
  return any;
}

// The search found nothing. What stands in the way is the first demand without which there is a plan.
Error why_none(const PlanProblem& problem, bool proven) {
  PlanProblem free = problem;
  const auto helps = [&] { return search(free).found(); };
  free.most_bottleneck = 0;
  if (problem.most_bottleneck > 0 && problem.objective == Objective::Latency) {
    free.objective = Objective::Throughput;
    const SearchOutcome least = search(free);
    if (least.found()) return obstacle_error(problem, Obstacle::Bottleneck, proven, least.objective);
  }
  free.objective = Objective::Latency;
  free.min_stages = 1;
  if (problem.min_stages > 1 && helps()) return obstacle_error(problem, Obstacle::MinStages, proven, kNever);
  if (open_links(free) && helps()) return obstacle_error(problem, Obstacle::Links, proven, kNever);
  if (lift_rules(free) && helps()) return obstacle_error(problem, Obstacle::Pins, proven, kNever);
  return no_split_error(problem, proven);
}

}  // namespace

Result<Plan> make_plan(const PlanProblem& problem) {
  if (Status checked = check_problem(problem); !checked) return fail(checked.error());
  if (Status checked = check_feasible(problem); !checked) return fail(checked.error());
  SearchOutcome found = search(problem);
  if (!found.found()) return fail(why_none(problem, found.complete));
  Result<Prediction> prediction = predict(problem, found.stages);
  if (!prediction) return fail(prediction.error());
  Plan plan;
  plan.stages = std::move(found.stages);
  plan.prediction = *std::move(prediction);
  plan.optimal = found.complete;
  plan.lower_bound = found.lower_bound;
  return plan;
}

}  // namespace shoal
