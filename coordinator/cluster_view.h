#pragma once

#include <string>

#include "coordinator/cluster_state.h"
#include "coordinator/inference.h"

namespace shoal {

// The cluster as GET /api/cluster shows it: devices, plan (predicted beside measured), links, requests,
// counters.
std::string cluster_json(const ClusterState& state, Time now);

InferenceService::Health cluster_health(const ClusterState& state);

// Units in people's words: "embedding + layers 0-9"; and all that a device runs under a plan, "" if nothing.
std::string describe_units(const ModelConfig& config, Range units);
std::string describe_holdings(const ModelConfig& config, const PlanVersion& version, DeviceId device);

}  // namespace shoal
