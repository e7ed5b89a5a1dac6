#pragma once

#include <cstdint>

#include "partition/problem.h"

namespace shoal {

// True if swapping the two devices leaves the problem as it is: same profile, no pin, same links to everyone
// and each other. An equivalence, so devices fall into classes, and a plan need only be looked for with the
// first ones of each.
bool interchangeable(const PlanProblem& problem, std::uint32_t a, std::uint32_t b);

}  // namespace shoal
