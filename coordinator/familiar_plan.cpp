#include "coordinator/familiar_plan.h"

#include <algorithm>

namespace shoal {
namespace {

// The remembered stages as indices into the version's devices; empty if one of them is not among these.
std::vector<PlannedStage> stages_over(const ClusterState& state, const RememberPlan& familiar,
                                      const std::vector<DeviceId>& devices) {
  std::vector<PlannedStage> stages;
  for (const RememberPlan::Stage& stage : familiar.stages) {
    const auto device = std::ranges::find_if(
        devices, [&](DeviceId id) { return state.members.at(id).public_key == stage.public_key; });
    if (device == devices.end()) return {};
    stages.push_back({static_cast<std::uint32_t>(device - devices.begin()), stage.units});
  }
  return stages;
}

bool fits_memory(const PlanProblem& problem, const Prediction& prediction) {
  for (std::size_t i = 0; i < problem.devices.size(); ++i) {
    if (prediction.memory_bytes[i] > problem.devices[i].memory_bytes) return false;
  }
  return true;
}

std::size_t distinct_devices(const std::vector<PlannedStage>& stages) {
  std::set<std::uint32_t> devices;
  for (const PlannedStage& stage : stages) devices.insert(stage.device);
  return devices.size();
}

}  // namespace

PlanVersion prefer_familiar(const ClusterState& state, PlanVersion best) {
  if (!state.familiar || state.familiar->model != state.model.hash) return best;
  std::vector<PlannedStage> stages = stages_over(state, *state.familiar, best.devices);
  if (stages.empty() || distinct_devices(stages) < distinct_devices(best.plan.stages)) return best;
  Result<Prediction> prediction = predict(best.problem, stages);
  if (!prediction || !fits_memory(best.problem, *prediction)) return best;
  const auto close = [](double familiar, double chosen) {
    return familiar <= chosen + std::max(kFamiliarSlack * chosen, kFamiliarSlackSeconds);
  };
  const Prediction& chosen = best.plan.prediction;
  if (!close(prediction->seconds_per_token, chosen.seconds_per_token) ||
      !close(prediction->bottleneck_seconds, chosen.bottleneck_seconds)) {
    return best;
  }
  best.plan.stages = std::move(stages);
  best.plan.prediction = *std::move(prediction);
  best.plan.optimal = false;  // as good as the best, for what is known; not proven to be it
  return best;
}

RememberPlan plan_to_remember(const ClusterState& state, const PlanVersion& version) {
  RememberPlan remember{.model = state.model.hash, .stages = {}};
  for (const PlannedStage& stage : version.plan.stages) {
    remember.stages.push_back({state.members.at(version.devices[stage.device]).public_key, stage.units});
  }
  return remember;
}

}  // namespace shoal
