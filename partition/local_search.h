#pragma once

#include "partition/cost.h"
#include "partition/path_search.h"

namespace shoal {

// Improves a plan by the best single change (another device for a stage, two devices exchanged, a cut moved,
// a stage given to its neighbour, a stage split for a new device) until none helps or `max_rounds` are done.
// For problems too large to search in full; keeps min_stages and memory.
SearchOutcome improve_plan(const PlanProblem& problem, ObjectiveTimes& times, SearchOutcome plan,
                           int max_rounds = 64);

// Distinct devices that hold at least one layer.
std::uint32_t num_layer_devices(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

}  // namespace shoal
