#pragma once

#include "base/result.h"
#include "partition/problem.h"

namespace shoal {

// Why a request cannot be met, in words: what is short, and by how much.

// As far as counting shows: no device, a unit that may run nowhere or is greater than every device it may run
// on, all units together greater than all devices together, or too few devices for min_stages. Success proves
// nothing yet. Codes as make_plan's.
Status check_feasible(const PlanProblem& problem);

// No split into whole units fits, or none that was tried unless `proven`: how far the best gets, the unit
// that finds no room, and how much more memory on each device would do.
Error no_split_error(const PlanProblem& problem, bool proven);

// Memory is not what stands in the way; this is.
enum class Obstacle { MinStages, Pins, Links, Bottleneck };
// `least_bottleneck`: for Obstacle::Bottleneck, what can be reached, or kNever where that is not known.
Error obstacle_error(const PlanProblem& problem, Obstacle obstacle, bool proven, double least_bottleneck);

}  // namespace shoal
