#pragma once

#include <string>

#include "simulation/capacity_report.h"

namespace shoal {

// A simulation's report for people: what clients see, the plan, who is busy, what failures cost, the
// bottleneck.
std::string render_capacity(const CapacityReport& report);
// All of it, as JSON; the same report gives the same text.
std::string capacity_json(const CapacityReport& report);

}  // namespace shoal
