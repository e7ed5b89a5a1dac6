#include "partition/local_search.h"

#include <algorithm>
#include <utility>

#include "partition/placement_rules.h"

namespace shoal {
namespace {

class Improvement {
 public:
  Improvement(const PlanProblem& problem, ObjectiveTimes& times, SearchOutcome plan)
      : problem_(problem), rules_(problem), times_(times), from_(std::move(plan)), best_(from_) {}

  // One round: every change of the plan is tried, the best is kept. False if none helps.
  bool round() {
    for (std::size_t i = 0; i < from_.stages.size(); ++i) {
      replace_device(i);
      exchange_devices(i);
      move_cut(i);
      give_away(i);
    }
    for (std::size_t i = 0; i < from_.stages.size(); ++i) split(i);
    if (best_.objective >= from_.objective * (1 - 1e-12)) return false;
    from_ = best_;
    return true;
  }
  const SearchOutcome& best() const { return from_; }

 private:
  bool is_used(std::uint32_t device) const {
    return std::any_of(from_.stages.begin(), from_.stages.end(),
                       [&](const PlannedStage& stage) { return stage.device == device; });
  }

  void replace_device(std::size_t i) {
    for (std::uint32_t v = 0; v < problem_.devices.size(); ++v) {
      if (room_of(problem_, v) == 0 || is_used(v)) continue;
      std::vector<PlannedStage> stages = from_.stages;
      const std::uint32_t old = stages[i].device;
      for (PlannedStage& stage : stages) {
        if (stage.device == old) stage.device = v;
      }
      consider(std::move(stages));
    }
  }

  void exchange_devices(std::size_t i) {
    for (std::size_t j = i + 1; j < from_.stages.size(); ++j) {
      std::vector<PlannedStage> stages = from_.stages;
      std::swap(stages[i].device, stages[j].device);
      consider(std::move(stages));
    }
  }

  void move_cut(std::size_t i) {
    if (i + 1 == from_.stages.size()) return;
    const std::uint32_t begin = from_.stages[i].units.begin;
    const std::uint32_t end = from_.stages[i + 1].units.end;
    for (std::uint32_t cut = begin + 1; cut < end; ++cut) {
      std::vector<PlannedStage> stages = from_.stages;
      stages[i].units.end = stages[i + 1].units.begin = cut;
      consider(std::move(stages));
    }
  }

  void give_away(std::size_t i) {
    if (i + 1 == from_.stages.size()) return;
    for (const std::size_t keeper : {i, i + 1}) {
      std::vector<PlannedStage> stages = from_.stages;
      stages[i] = {stages[keeper].device, {stages[i].units.begin, stages[i + 1].units.end}};
      stages.erase(stages.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      consider(std::move(stages));
    }
  }

  void split(std::size_t i) {
    const Range units = from_.stages[i].units;
    for (std::uint32_t v = 0; v < problem_.devices.size(); ++v) {
      if (room_of(problem_, v) == 0 || is_used(v)) continue;
      for (std::uint32_t cut = units.begin + 1; cut < units.end; ++cut) {
        for (const bool before : {true, false}) {
          std::vector<PlannedStage> stages = from_.stages;
          stages[i].units = before ? Range{cut, units.end} : Range{units.begin, cut};
          const PlannedStage added{v, before ? Range{units.begin, cut} : Range{cut, units.end}};
          stages.insert(stages.begin() + static_cast<std::ptrdiff_t>(before ? i : i + 1), added);
          consider(std::move(stages));
        }
      }
    }
  }

  void consider(std::vector<PlannedStage> stages) {
    SearchOutcome changed;
    changed.objective = times_.of(stages);
    if (changed.objective >= best_.objective) return;
    if (problem_.min_stages > 1 && num_layer_devices(problem_, stages) < problem_.min_stages) return;
    if (!rules_.allow(stages) || !keeps_ring(stages) || !memory_allows(problem_, stages)) return;
    changed.stages = std::move(stages);
    best_ = std::move(changed);
  }

  // A device has one run of units, or the two ends if it may close the ring.
  bool keeps_ring(const std::vector<PlannedStage>& stages) const {
    if (num_distinct_devices(stages) == stages.size()) return true;
    return num_distinct_devices(stages) + 1 == stages.size() &&
           stages.front().device == stages.back().device && may_close_ring(problem_, stages.front().device);
  }

  const PlanProblem& problem_;
  PlacementRules rules_;
  ObjectiveTimes& times_;
  SearchOutcome from_;
  SearchOutcome best_;
};

}  // namespace

std::uint32_t num_layer_devices(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  const Range layers = layers_of(problem);
  std::vector<PlannedStage> holding;
  for (const PlannedStage& stage : stages) {
    if (stage.units.end > layers.begin && stage.units.begin < layers.end) holding.push_back(stage);
  }
  return static_cast<std::uint32_t>(num_distinct_devices(holding));
}

SearchOutcome improve_plan(const PlanProblem& problem, ObjectiveTimes& times, SearchOutcome plan,
                           int max_rounds) {
  if (!plan.found()) return plan;
  plan.complete = false;
  Improvement improvement(problem, times, std::move(plan));
  for (int round = 0; round < max_rounds && improvement.round(); ++round) {
  }
  return improvement.best();
}

}  // namespace shoal
