#pragma once

#include <string>
#include <vector>

#include "simulation/capacity_run.h"

namespace shoal {

// What limits the simulated clusters, in a sentence or two: the device, link or memory that is nearest to its
// end, and what the planner promises of one more device of a kind that is there already. Pure.
std::string describe_bottleneck(const CapacityScenario& scenario, const std::vector<const CapacityRun*>& runs,
                                const CapacityReport& report);

}  // namespace shoal
