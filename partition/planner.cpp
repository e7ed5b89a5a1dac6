#include "partition/planner.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "partition/balanced_search.h"
#include "partition/bottleneck_search.h"
#include "partition/cost.h"
#include "partition/feasibility.h"
#include "partition/problem_check.h"
#include "partition/soonest_search.h"

namespace shoal {
namespace {

// Which devices a plan may use, and the tables that depend on no objective.
class Planner {
 public:
  explicit Planner(const PlanProblem& problem) : problem_(problem), tables_(problem) {
    for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
      if (can_hold_any_unit(v)) devices_.push_back(v);
    }
  }

  SearchOutcome search() const {
    switch (problem_.objective) {
      case Objective::Latency:
        return least_latency();
      case Objective::Throughput:
        return least_bottleneck(problem_, tables_, devices_);
      case Objective::Balanced:
        return balanced_plan(problem_, tables_, devices_);
    }
    SHOAL_CHECK(false);
  }

 private:
  bool can_hold_any_unit(std::uint32_t v) const {
    const std::uint64_t room = room_of(problem_, v);
    for (std::uint32_t u = 0; u < problem_.units.size(); ++u) {
      if (!tables_.rules.may_run(v, {u, u + 1})) continue;
      if (tables_.memory.of_range(u, u + 1) + stage_scratch(problem_, v, {u, u + 1}) <= room) return true;
    }
    return false;
  }

  SearchOutcome least_latency() const {
    const StageTimes one_row(problem_, Objective::Latency, 1.0);
    if (problem_.most_bottleneck > 0)
      return soonest_within(problem_, tables_, devices_, problem_.most_bottleneck);
    SearchSpace space(problem_, tables_, one_row, devices_);
    space.min_devices = std::max(1u, problem_.min_stages);
    return soonest_plan(space, {});
  }

  const PlanProblem& problem_;
  ProblemTables tables_;
  std::vector<std::uint32_t> devices_;
};

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
  const auto helps = [&] { return Planner(free).search().found(); };
  free.most_bottleneck = 0;
  if (problem.most_bottleneck > 0 && problem.objective == Objective::Latency) {
    free.objective = Objective::Throughput;
    const SearchOutcome least = Planner(free).search();
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
  SearchOutcome found = Planner(problem).search();
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
