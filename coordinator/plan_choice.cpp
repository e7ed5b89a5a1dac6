#include "coordinator/plan_choice.h"

#include <algorithm>

#include "coordinator/broken_links.h"
#include "coordinator/plan_builder.h"

namespace shoal {

double objective_of(const ClusterState& state, const Prediction& prediction) {
  return state.settings.objective == Objective::Throughput ? prediction.bottleneck_seconds
                                                           : prediction.seconds_per_token;
}

std::uint32_t distinct_devices(const Plan& plan) {
  std::set<std::uint32_t> devices;
  for (const PlannedStage& stage : plan.stages) devices.insert(stage.device);
  return static_cast<std::uint32_t>(devices.size());
}

Result<PlanVersion> choose_working_plan(const ClusterState& state, const std::vector<DeviceId>& devices,
                                        std::uint32_t min_stages) {
  Result<PlanVersion> version = choose_plan(state, devices, min_stages);
  const auto works = [&] { return version && broken_link_in(state, *version).empty(); };
  const bool may_give_way = state.lost_devices_before || !state.broken_links.empty();
  if (!works() && min_stages > 1 && may_give_way) version = choose_plan(state, devices, 1);
  if (!version || works()) return version;
  return fail(ErrorCode::Unavailable, broken_link_in(state, *version) + ", and no plan does without it");
}

Result<PlanVersion> choose_better_plan(const ClusterState& state, const std::vector<DeviceId>& devices) {
  const auto count = static_cast<std::uint32_t>(devices.size());
  return choose_working_plan(state, devices, std::min(std::max(state.settings.min_stages, 1u), count));
}

std::string advantage(const ClusterState& state, const PlanVersion& better, std::uint32_t num_devices) {
  const PlanVersion& active = *state.active;
  if (distinct_devices(active.plan) < std::min(state.settings.min_stages, num_devices) &&
      distinct_devices(better.plan) > distinct_devices(active.plan)) {
    return "devices joined: back to min_stages";
  }
  if (better.kv_positions > active.kv_positions) return "room for more sequences after devices joined";
  // Both judged by today's measurements: the active plan's own prediction may be of another day.
  const Result<Prediction> today = predict_today(state, active);
  const double now = objective_of(state, today ? *today : active.plan.prediction);
  return objective_of(state, better.plan.prediction) < (1 - state.settings.replan.worthwhile_gain) * now
             ? "a faster plan after devices joined"
             : "";
}

}  // namespace shoal
