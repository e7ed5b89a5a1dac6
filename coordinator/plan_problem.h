#pragma once

#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// From what was measured to what the planner is asked. Pure.

// For each unit of the model, the unit whose measurement stands for it: the first with equal shapes, types
// and window.
std::vector<std::uint32_t> representatives_of(const ServedModel& model);
// The units that are measured, in order.
std::vector<std::uint32_t> representative_units(const ServedModel& model);
ProfileRequest profile_request(const ServedModel& model);

// A measured device's speed, by its profile alone; and as its steps have corrected it since. A device that no
// steps were seen of is taken to differ from its profile as the others do, within bounds: what all profiles
// have in common (warm caches, say) would otherwise make every device look better that is not in use.
DeviceSpeed profiled_speed(const ClusterState& state, const Member& member);
DeviceSpeed corrected_speed(const ClusterState& state, const Member& member);

// A directed link as it was probed (a frame's header counted as latency), and as hops over it have corrected
// it. kHub is an end like any other.
LinkProfile probed_link(const ClusterState& state, DeviceId from, DeviceId to);
LinkProfile corrected_link(const ClusterState& state, DeviceId from, DeviceId to);

// Frames of this model's steps, for probing links.
std::uint32_t decode_frame_bytes(const ModelConfig& config);
std::uint32_t prefill_frame_bytes(const ModelConfig& config, std::uint32_t rows);

// The planning problem over these devices, all measured, and the speeds that its costs were made from.
struct StatedProblem {
  PlanProblem problem;
  std::vector<DeviceSpeed> speeds;
};
StatedProblem state_problem(const ClusterState& state, const std::vector<DeviceId>& devices,
                            const KvBudget& kv);

// For a device or link that is only named as lost.
LinkProfile unmeasured_link();
std::uint32_t head_blocks(const ModelConfig& config);

}  // namespace shoal
