#include <algorithm>
#include <optional>
#include <utility>

#include "partition/cost.h"
#include "partition/placement_rules.h"
#include "partition/planner.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

// Fills a plan's gaps one after another.
class Repair {
 public:
  Repair(const PlanProblem& problem, const std::vector<PlannedStage>& survivors)
      : problem_(problem), rules_(problem), times_(problem), stages_(survivors) {}

  // The lost units [gap.begin, gap.end), all of them between two of the present stages or at an end.
  bool fill(Range gap) {
    gap_ = gap;
    at_ = static_cast<std::size_t>(
        std::find_if(stages_.begin(), stages_.end(),
                     [&](const PlannedStage& s) { return s.units.begin >= gap.end; }) -
        stages_.begin());
    best_.clear();
    tried_.clear();
    for (std::uint32_t left_end = gap.begin; left_end <= gap.end; ++left_end) {
      if (at_ == 0 && left_end > gap.begin) break;
      for (std::uint32_t right_begin = left_end; right_begin <= gap.end; ++right_begin) {
        if (at_ == stages_.size() && right_begin < gap.end) continue;
        try_split(left_end, right_begin);
      }
    }
    if (problem_.objective == Objective::Balanced) level_out();
    if (best_.empty()) return false;
    stages_ = best_;
    return true;
  }
  const std::vector<PlannedStage>& stages() const { return stages_; }

 private:
  // The neighbour before takes the units up to left_end, the one after those from right_begin on, one device
  // the rest.
  void try_split(std::uint32_t left_end, std::uint32_t right_begin) {
    if (left_end > gap_.begin && !may_take(at_ - 1, {gap_.begin, left_end})) return;
    if (right_begin < gap_.end && !may_take(at_, {right_begin, gap_.end})) return;
    std::vector<PlannedStage> stages = stages_;
    if (left_end > gap_.begin) stages[at_ - 1].units.end = left_end;
    if (right_begin < gap_.end) stages[at_].units.begin = right_begin;
    if (left_end == right_begin) return consider(stages);
    stages.insert(stages.begin() + static_cast<std::ptrdiff_t>(at_), {0, {left_end, right_begin}});
    for (std::uint32_t v = 0; v < problem_.devices.size(); ++v) {
      if (!rules_.may_run(v, {left_end, right_begin}) || is_beside(v)) continue;
      if (problem_.ring != Ring::AnyDevice && runs_a_stage(v)) continue;
      stages[at_].device = v;
      consider(stages);
    }
  }

  bool may_take(std::size_t stage, Range units) const { return rules_.may_run(stages_[stage].device, units); }
  bool runs_a_stage(std::uint32_t device) const {
    return std::any_of(stages_.begin(), stages_.end(),
                       [&](const PlannedStage& s) { return s.device == device; });
  }
  bool is_beside(std::uint32_t device) const {
    return (at_ > 0 && stages_[at_ - 1].device == device) ||
           (at_ < stages_.size() && stages_[at_].device == device);
  }

  void consider(const std::vector<PlannedStage>& stages) {
    const double seconds = times_.of(stages);
    if (seconds == kNever) return;
    if (problem_.objective == Objective::Balanced && memory_allows(problem_, stages))
      tried_.push_back({seconds, stages});
    keep_if_less(seconds, stages);
  }

  void keep_if_less(double seconds, const std::vector<PlannedStage>& stages) {
    const bool clearly_better = best_.empty() || seconds < best_seconds_ * (1 - 1e-12);
    const bool smaller =
        !best_.empty() && seconds <= best_seconds_ * (1 + 1e-12) && stages.size() < best_.size();
    if (!clearly_better && !smaller) return;
    if (!memory_allows(problem_, stages)) return;
    best_seconds_ = seconds;
    best_ = stages;
  }

  // Balanced: of the splits about as soon as the soonest, the one that leaves nobody busier than needed.
  void level_out() {
    const double limit = best_seconds_ * (1 + problem_.latency_slack) * (1 + 1e-9);
    best_.clear();
    for (const Tried& split : tried_) {
      if (split.seconds > limit) continue;
      const double rows = rows_per_step(problem_, num_distinct_devices(split.stages));
      keep_if_less(StageTimes(problem_, Objective::Throughput, rows).plan(split.stages), split.stages);
    }
  }

  struct Tried {
    double seconds;
    std::vector<PlannedStage> stages;
  };

  const PlanProblem& problem_;
  PlacementRules rules_;
  ObjectiveTimes times_;
  std::vector<PlannedStage> stages_;
  Range gap_;
  std::size_t at_ = 0;  // the stage after the gap
  double best_seconds_ = 0;
  std::vector<PlannedStage> best_;
  std::vector<Tried> tried_;  // of a Balanced problem: what fits
};

struct Remains {
  std::vector<PlannedStage> stages;
  std::vector<Range> gaps;
};

Remains remove_devices(const Plan& plan, const std::vector<bool>& is_lost) {
  Remains remains;
  for (const PlannedStage& stage : plan.stages) {
    if (!is_lost[stage.device]) {
      remains.stages.push_back(stage);
    } else if (!remains.gaps.empty() && remains.gaps.back().end == stage.units.begin) {
      remains.gaps.back().end = stage.units.end;
    } else {
      remains.gaps.push_back(stage.units);
    }
  }
  return remains;
}

// The order decides who gets what where several gaps compete for the same room, so both are tried.
std::optional<std::vector<PlannedStage>> fill_gaps(const PlanProblem& problem, const Remains& remains) {
  if (remains.stages.empty()) return std::nullopt;
  std::vector<Range> gaps = remains.gaps;
  std::stable_sort(gaps.begin(), gaps.end(), [](Range a, Range b) { return a.size() > b.size(); });
  for (int attempt = 0; attempt < 2; ++attempt) {
    Repair repair(problem, remains.stages);
    if (std::all_of(gaps.begin(), gaps.end(), [&](Range gap) { return repair.fill(gap); }))
      return repair.stages();
    std::reverse(gaps.begin(), gaps.end());
  }
  return std::nullopt;
}

}  // namespace

Result<Plan> repair_plan(const PlanProblem& problem, const Plan& current,
                         const std::vector<std::uint32_t>& lost) {
  if (Status checked = check_problem(problem); !checked)
    return fail(checked.error().during("repairing the plan"));
  if (Status checked = check_stages(problem, current.stages); !checked) {
    return fail(checked.error().during("repairing the plan"));
  }
  PlanProblem survivors = problem;
  survivors.min_stages = 1;
  std::vector<bool> is_lost(problem.devices.size(), false);
  for (const std::uint32_t device : lost) {
    if (device >= problem.devices.size()) {
      return fail(ErrorCode::InvalidArgument, "repairing the plan: device " + std::to_string(device) +
                                                  " of " + std::to_string(problem.devices.size()) +
                                                  " does not exist");
    }
    is_lost[device] = true;
    survivors.devices[device].may_compute = false;
  }
  const auto filled = fill_gaps(survivors, remove_devices(current, is_lost));
  if (!filled) return make_plan(survivors);
  Result<Prediction> prediction = predict(survivors, *filled);
  if (!prediction) return fail(prediction.error());
  Plan plan;
  plan.stages = *filled;
  plan.prediction = *std::move(prediction);
  return plan;
}

}  // namespace shoal
