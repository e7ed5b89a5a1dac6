#pragma once

#include "coordinator/cluster_state.h"

namespace shoal {

// Devices keep the layers they hold on disk. Where a plan of the past would still do (all its devices are
// here, memory holds it, and it is hardly slower than the best), it is taken again: measurements wobble by
// that much, and moving layers costs minutes on a slow link.
inline constexpr double kFamiliarSlack = 0.05;          // of the best plan's time, or
inline constexpr double kFamiliarSlackSeconds = 0.001;  // so little that nobody sees it

// `best`, or the familiar plan in its place. Pure.
PlanVersion prefer_familiar(const ClusterState& state, PlanVersion best);

// What to remember of a plan that was made by choice and now serves.
RememberPlan plan_to_remember(const ClusterState& state, const PlanVersion& version);

}  // namespace shoal
