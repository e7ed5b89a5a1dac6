#pragma once

#include <cstdint>
#include <vector>

#include "partition/cost.h"

namespace shoal {

struct Coverage {
  std::uint32_t units = 0;  // the most first units that the devices can hold, one range each
  bool proven = false;      // no order of the devices holds more
};

// For messages when nothing fits. Exact up to 16 devices: every device takes what it can after every set of
// others, and to be further is never worse, because parts of a range need no more memory than the range.
// Above: roomiest first.
Coverage most_units_held(const PlanProblem& problem, const UnitMemory& memory,
                         const std::vector<std::uint32_t>& devices);

}  // namespace shoal
