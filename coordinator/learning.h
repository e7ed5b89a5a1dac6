#pragma once

#include "coordinator/cluster_state.h"

namespace shoal {

// What steps teach beside profiles and probes: how a device's real times differ from its profile's, and what
// hops over a link take beside what its probe says. Pure.

// A device's beat under the plan that serves.
void learn_from_beat(ClusterState& state, Member& member, const Beat& beat, Time now);
// Once a second: from the hops of the plan that serves.
void learn_links(ClusterState& state, Time now);

// The hops of a plan as their links were probed, seconds for steps of so many rows: hub to first stage,
// between stages, last stage to hub. Negative where both ends are one device.
std::vector<double> probed_hops(const ClusterState& state, const PlanVersion& version, double rows);

}  // namespace shoal
