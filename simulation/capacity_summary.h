#pragma once

#include <vector>

#include "simulation/capacity_run.h"

namespace shoal {

// What the runs of a scenario came to; everything but the bottleneck's sentence. Pure.
CapacityReport report_of(const CapacityScenario& scenario, const std::vector<const CapacityRun*>& runs,
                         std::vector<RequestTrace>& traces);

}  // namespace shoal
