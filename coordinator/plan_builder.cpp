#include "coordinator/plan_builder.h"

#include <algorithm>

#include "coordinator/broken_links.h"
#include "coordinator/plan_problem.h"
#include "model/stage_backend.h"

namespace shoal {
namespace {

// Tries the full KV budget first; memory that cannot hold it gets half, down to one full context.
template <typename Solve>
Result<PlanVersion> with_most_kv(const ClusterState& state, const std::vector<DeviceId>& devices,
                                 Solve&& solve) {
  std::uint32_t positions = std::max(state.settings.kv_positions, state.settings.max_context);
  while (true) {
    PlanVersion version;
    version.kv_positions = positions;
    version.kv = kv_budget_for(state, positions);
    version.devices = devices;
    StatedProblem stated = state_problem(state, devices, version.kv);
    version.problem = std::move(stated.problem);
    version.speeds = std::move(stated.speeds);
    Result<Plan> plan = solve(version.problem);
    if (plan) {
      version.plan = *std::move(plan);
      return version;
    }
    if (plan.error().code() != ErrorCode::OutOfMemory || positions == state.settings.max_context)
      return fail(plan.error());
    positions = std::max(positions / 2, state.settings.max_context);
  }
}

}  // namespace

std::vector<DeviceId> plannable_devices(const ClusterState& state, Time now) {
  std::vector<DeviceId> devices;
  for (const auto& [id, member] : state.members) {
    const bool measured = member.profile.has_value() && member.links_measured;
    if (member.online && measured && member.excluded.empty() && now >= member.retry_at) devices.push_back(id);
  }
  return devices;
}

KvBudget kv_budget_for(const ClusterState& state, std::uint32_t positions) {
  const std::uint32_t chunk = std::min(state.settings.scheduler.prefill_chunk, kMaxRowsPerStep);
  KvBudget budget;
  for (const KvKind& kind : kv_kinds(state.model.config)) {
    const std::uint32_t one_context = most_kv_blocks_until(kind, state.settings.max_context, chunk);
    const auto shared = static_cast<std::uint32_t>(positions / kKvBlockPositions);
    const std::uint32_t most =
        one_context * state.settings.max_sequences;  // a window bounds what sequences can use
    budget.blocks.push_back(std::max(one_context, std::min(shared, most)));
  }
  return budget;
}

Result<PlanVersion> choose_plan(const ClusterState& state, const std::vector<DeviceId>& devices,
                                std::uint32_t min_stages) {
  return with_most_kv(state, devices, [&](PlanProblem& problem) {
    problem.min_stages = min_stages;
    return make_plan(problem);
  });
}

// Lost devices have no figures any more: the broken plan is restated over the survivors, with what they lack
// marked as lost.
Result<PlanVersion> choose_repair(const ClusterState& state, const PlanVersion& broken,
                                  const std::vector<DeviceId>& survivors) {
  Result<PlanVersion> version = with_most_kv(state, survivors, [&](PlanProblem& problem) -> Result<Plan> {
    problem.min_stages = 1;
    PlanProblem with_lost = problem;
    Plan current = broken.plan;
    std::vector<std::uint32_t> lost;
    for (PlannedStage& stage : current.stages) {
      const auto survivor = std::ranges::find(survivors, broken.devices[stage.device]);
      if (survivor != survivors.end()) {
        stage.device = static_cast<std::uint32_t>(survivor - survivors.begin());
        continue;
      }
      stage.device = static_cast<std::uint32_t>(with_lost.devices.size());
      lost.push_back(stage.device);
      with_lost.devices.push_back(
          {.name = "lost", .memory_bytes = 0, .units = problem.devices.front().units, .may_compute = false});
      with_lost.from_hub.push_back(unmeasured_link());
      with_lost.to_hub.push_back(unmeasured_link());
      for (std::vector<LinkProfile>& row : with_lost.links) row.push_back(unmeasured_link());
      with_lost.links.emplace_back(with_lost.devices.size(), unmeasured_link());
    }
    Result<Plan> repaired = repair_plan(with_lost, current, lost);
    if (!repaired) return repaired;
    Result<Prediction> prediction = predict(problem, repaired->stages);
    if (prediction) repaired->prediction = *std::move(prediction);
    return repaired;
  });
  if (version) version->is_repair = true;
  return version;
}

Result<Prediction> predict_today(const ClusterState& state, const PlanVersion& version) {
  std::vector<DeviceId> used;
  std::vector<PlannedStage> stages = version.plan.stages;
  for (PlannedStage& stage : stages) {
    const DeviceId device = version.devices[stage.device];
    const auto known = std::ranges::find(used, device);
    stage.device = static_cast<std::uint32_t>(known - used.begin());
    if (known == used.end()) used.push_back(device);
  }
  return predict(state_problem(state, used, version.kv).problem, stages);
}

PlanMessage plan_message_for(const ClusterState& state, const PlanVersion& version, DeviceId receiver) {
  PlanMessage message;
  message.epoch = version.epoch;
  message.pipeline = PipelineId{1};
  message.model = state.model.hash;
  message.config = state.model.config_bytes;
  message.max_context = state.settings.max_context;
  message.max_rows = kMaxRowsPerStep;
  message.max_sequences = state.settings.max_sequences;
  message.kv_blocks = version.kv.blocks;
  message.log_bytes = state.settings.log_bytes;
  std::set<std::uint32_t> units;
  for (const PlannedStage& stage : version.plan.stages) {
    const DeviceId device = version.devices[stage.device];
    const bool has_head = stage.units.end == state.model.config.num_units();
    message.stages.push_back(
        {device, stage.units, has_head ? Range{0, head_blocks(state.model.config)} : Range{}});
    if (device == receiver) {
      for (std::uint32_t unit = stage.units.begin; unit < stage.units.end; ++unit) units.insert(unit);
    }
  }
  if (units.empty()) {
    message.stages.clear();  // left out of this plan: it frees everything
    return message;
  }
  for (const DeviceId device : version.devices) {
    const Member& peer = state.members.at(device);
    if (device != receiver && version.uses(device))
      message.peers.push_back({device, peer.hello.inbox, peer.public_key});
  }
  for (const TensorRef& tensor : state.model.tensors) {
    if (units.contains(tensor.unit)) message.tensors.push_back(tensor);
  }
  return message;
}

PipelineShape pipeline_shape(const ClusterState& state, const PlanVersion& version) {
  return {.epoch = version.epoch,
          .pipeline = PipelineId{1},
          .num_stages = static_cast<std::uint32_t>(version.plan.stages.size()),
          .max_rows = kMaxRowsPerStep,
          .max_sequences = state.settings.max_sequences,
          .kv = version.kv,
          .predicted_step_seconds = version.plan.prediction.seconds_per_token};
}

}  // namespace shoal
