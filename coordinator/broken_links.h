#pragma once

#include "coordinator/cluster_state.h"

namespace shoal {

// Links over which nothing comes through although both ends are alive: a connection broke and stays broken,
// or a probe was not answered. TCP needs both directions, so a pair of devices has one entry, whichever way
// was cut. The hub is an end like any other. Plans avoid these links; an entry goes when a probe comes
// through, or a step that was sent after the doubt, or when either end joins anew. Pure.

void mark_broken(ClusterState& state, DeviceId a, DeviceId b);
// True if it was broken.
bool mark_working(ClusterState& state, DeviceId a, DeviceId b);
void forget_broken_links_of(ClusterState& state, DeviceId device);
bool is_broken(const ClusterState& state, DeviceId a, DeviceId b);

// The first broken link that this plan's steps travel, hub to first stage and last stage to hub included, in
// words; "" if none.
std::string broken_link_in(const ClusterState& state, const PlanVersion& version);
// A step came back: every link of the plan works.
void mark_links_working(ClusterState& state, const PlanVersion& version);

}  // namespace shoal
