#pragma once

#include <cstdint>
#include <vector>

#include "partition/path_search.h"

namespace shoal {

// The plan of Objective::Balanced. Its objective and lower bound are the latency's.
SearchOutcome balanced_plan(const PlanProblem& problem, const ProblemTables& tables,
                            const std::vector<std::uint32_t>& devices);

// The plan of least latency whose busiest device or link (as for Objective::Throughput) takes at most so long
// per token. Where a step's rows follow from the number of devices, each number is searched by itself.
// `incumbent`: such a plan, if one is known.

SearchOutcome soonest_within(const PlanProblem& problem, const ProblemTables& tables,
                             const std::vector<std::uint32_t>& devices, double most_bottleneck,
                             const SearchOutcome& incumbent = {});

}  // namespace shoal
