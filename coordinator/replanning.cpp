#include "coordinator/replanning.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "coordinator/cluster_state.h"
#include "coordinator/plan_builder.h"
#include "coordinator/plan_choice.h"
#include "coordinator/plan_problem.h"

namespace shoal {
namespace {

constexpr Duration kLookInterval =
    std::chrono::seconds(2);      // also between a look and the one that confirms it
constexpr double kMoved = 0.05;   // measurements that moved by less change no plan
constexpr int kCloseChanges = 4;  // pauses: a change within so many of the last doubles the pause

std::string percent(double share) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f %%", share * 100);
  return text;
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f s", seconds);
  return text;
}

// Whole models per second that all devices would run, were each to run it alone: moves when one of them does.
double capacity(const ClusterState& state, const std::vector<DeviceId>& devices) {
  double total = 0;
  for (const DeviceId id : devices) {
    const DeviceSpeed speed = corrected_speed(state, state.members.at(id));
    const auto num_units = static_cast<std::uint32_t>(speed.units.size());
    total += 1 / std::max(compute_seconds(speed, {0, num_units}, {}), 1e-9);
  }
  return total;
}

bool moved(double now, double before) { return std::abs(now - before) > kMoved * before; }

Duration pause_of(const ClusterState& state) {
  return std::max(state.replanning.pause, state.settings.replan.least_pause);
}

bool runs_the_same(const PlanVersion& a, const PlanVersion& b) {
  if (a.plan.stages.size() != b.plan.stages.size()) return false;
  for (std::size_t i = 0; i < a.plan.stages.size(); ++i) {
    if (a.device_of(i) != b.device_of(i) || a.plan.stages[i].units != b.plan.stages[i].units) return false;
  }
  return true;
}

// Judges `best` against the plan that serves and says in words what came out. True: worth changing.
bool judge(ClusterState& state, const PlanVersion& best, double seconds_now) {
  std::string& verdict = state.replanning.verdict;
  if (runs_the_same(best, *state.active)) {
    verdict = "the plan is still the best";
    return false;
  }
  const ReplanSettings& settings = state.settings.replan;
  const double seconds_then = objective_of(state, best.plan.prediction);
  const double moving = migration_seconds(state, best);
  const double gain = net_gain(seconds_now, seconds_then, moving, settings.horizon);
  verdict = "another plan would gain " + percent(1 - seconds_then / seconds_now) + ", " + percent(gain) +
            " with moving (" + seconds_text(moving) + ") taken off";
  if (gain > settings.worthwhile_gain) return true;
  verdict += "; it takes " + percent(settings.worthwhile_gain) + " to change";
  return false;
}

}  // namespace

double net_gain(double seconds_now, double seconds_then, double migration_seconds, Duration horizon) {
  if (seconds_now <= 0) return 0;
  return 1 - seconds_then / seconds_now - migration_seconds / seconds(horizon);
}

double migration_seconds(const ClusterState& state, const PlanVersion& to) {
  double longest = 0;  // devices load side by side
  for (std::size_t v = 0; v < to.devices.size(); ++v) {
    const Member& member = state.members.at(to.devices[v]);
    double bytes = 0;
    for (const PlannedStage& stage : to.plan.stages) {
      if (stage.device != v) continue;
      for (std::uint32_t unit = stage.units.begin; unit < stage.units.end; ++unit) {
        if (!member.stored_units.contains(unit))
          bytes += static_cast<double>(to.problem.units[unit].weight_bytes);
      }
    }
    longest = std::max(longest, bytes / to.problem.from_hub[v].bytes_per_second);
  }
  double per_row = 0;  // of the slowest stage, as prompts go through the pipeline
  for (const PlannedStage& stage : to.plan.stages) {
    const Visit chunk{.rows = kProfileChunkRows, .wanted_rows = 0, .context = kProfileChunkRows / 2.0};
    per_row =
        std::max(per_row, compute_seconds(to.speeds[stage.device], stage.units, chunk) / kProfileChunkRows);
  }
  return longest + per_row * static_cast<double>(state.scheduler.positions_held());
}

std::optional<PlanVersion> reconsider(ClusterState& state, const std::vector<DeviceId>& devices, Time now) {
  Replanning& looks = state.replanning;
  const bool is_early = now - looks.looked_at < kLookInterval || now - looks.plan_since < pause_of(state);
  if (!state.settings.replan.enabled || devices.empty() || is_early) return std::nullopt;
  const Result<Prediction> today = predict_today(state, *state.active);
  if (!today) return std::nullopt;
  const double seconds_now = objective_of(state, *today);
  const double could_do = capacity(state, devices);
  looks.looked_at = now;
  const bool has_moved =
      moved(seconds_now, looks.looked_at_seconds) || moved(could_do, looks.looked_at_capacity);
  if (!has_moved && !looks.found_better) return std::nullopt;
  looks.looked_at_seconds = seconds_now;
  looks.looked_at_capacity = could_do;
  Result<PlanVersion> best = choose_better_plan(state, devices);
  const bool was_better = looks.found_better;
  looks.found_better = best && judge(state, *best, seconds_now);
  if (!looks.found_better || !was_better) return std::nullopt;
  best->by_measurements = true;
  best->why = looks.verdict;
  return *std::move(best);
}

void note_plan_change(ClusterState& state, bool asked_by_measurements, Time now) {
  Replanning& looks = state.replanning;
  looks.plan_since = now;
  looks.looked_at_seconds = looks.looked_at_capacity = 0;
  looks.found_better = false;
  if (!asked_by_measurements) return;
  const Duration pause = pause_of(state);
  const bool is_close = looks.changed_at && now - *looks.changed_at < kCloseChanges * pause;
  looks.pause =
      is_close ? std::min(2 * pause, state.settings.replan.longest_pause) : state.settings.replan.least_pause;
  looks.changed_at = now;
  ++looks.changes;
}

}  // namespace shoal
