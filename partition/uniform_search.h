#pragma once

#include <vector>

#include "partition/path_search.h"

namespace shoal {

inline constexpr std::uint32_t kMaxUniformDevices = 16;

// Do all layers but the first and the last unit weigh, send and cost the same on every device?
bool has_uniform_layers(const PlanProblem& problem);

// Exact for problems with uniform layers and at most kMaxUniformDevices devices: since no link's cost depends
// on where the cut lies, the order of devices (Held and Karp 1962, a shortest path through each subset, from
// each first device) and the number of layers on each (the cheapest take what they can hold) are found apart.
// spaces[n] is what plans on n devices look at (spaces[0] unused); all list the same devices, and their hops
// are equal.
SearchOutcome uniform_search(const std::vector<const SearchSpace*>& spaces, const SearchOutcome& incumbent);

}  // namespace shoal
