#pragma once

#include <string>

#include "coordinator/cluster_state.h"
#include "coordinator/inference.h"

namespace shoal {

// The cluster as GET /api/cluster shows it: devices, plan (predicted beside measured), links, requests,
// counters.
std::string cluster_json(const ClusterState& state, Time now);

InferenceService::Health cluster_health(const ClusterState& state);

}  // namespace shoal
