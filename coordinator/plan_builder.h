#pragma once

#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// From a planning problem (coordinator/plan_problem.h) to a plan, and from a plan to what each worker is
// told. Pure.

// Online, measured, not excluded and not cooling down after a failure.
std::vector<DeviceId> plannable_devices(const ClusterState& state, Time now);

// The best plan over `devices`, with as much KV as memory allows (settings.kv_positions, halved down to one
// context).
Result<PlanVersion> choose_plan(const ClusterState& state, const std::vector<DeviceId>& devices,
                                std::uint32_t min_stages);
// The repair of `broken` after the loss of every device that is not in `survivors`.
Result<PlanVersion> choose_repair(const ClusterState& state, const PlanVersion& broken,
                                  const std::vector<DeviceId>& survivors);

// Blocks per kind for `positions` positions over all sequences, at least one full context.
KvBudget kv_budget_for(const ClusterState& state, std::uint32_t positions);

// What the plan promises under today's measurements. Its devices are online.
Result<Prediction> predict_today(const ClusterState& state, const PlanVersion& version);

PlanMessage plan_message_for(const ClusterState& state, const PlanVersion& version, DeviceId receiver);

// The steps' view of a plan.
PipelineShape pipeline_shape(const ClusterState& state, const PlanVersion& version);

}  // namespace shoal
