#pragma once

#include <cstdint>
#include <vector>

#include "partition/path_search.h"
#include "partition/soonest_search.h"

namespace shoal {

// The plan whose busiest device or link is least busy (Objective::Throughput); of equals the soonest, as far
// as a search of limited cost finds it. The rows of a step may depend on the number of devices; then each
// number is searched by itself. Exact up to kExactDevices whatever the units are, up to kExactUniformDevices
// where all layers are alike or no ring may close (partition/reach_search.h). Otherwise the outcome may not
// be complete and has a lower bound: counting what devices can run in time, and prices on them.
SearchOutcome least_bottleneck(const PlanProblem& problem, const ProblemTables& tables,
                               const std::vector<std::uint32_t>& devices, bool breaks_ties = true);

}  // namespace shoal
