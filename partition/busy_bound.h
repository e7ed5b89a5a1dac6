#pragma once

#include "partition/search_space.h"

namespace shoal {

// Both of spaces whose times are those of Objective::Throughput, without a ceiling.

// The least ceiling that counting does not rule out, or up to a ten-thousandth less: every unit runs
// somewhere in time, and the devices (as many as may take part, the ablest) can together run as many units as
// there are, each in one run (two for who may close the ring). No plan's busiest device or link is less busy.
// kNever: no plan exists.
double least_busy(const SearchSpace& space);

// The least time of a stage, of two that close a ring, of a hop, an entry or an exit that is greater than
// `seconds`; kNever if there is none. A plan's objective is one of these times.
double next_busy(const SearchSpace& space, double seconds);

}  // namespace shoal
