#pragma once

#include <cstdint>
#include <vector>

#include "partition/memory.h"
#include "partition/placement_rules.h"
#include "partition/problem.h"

namespace shoal {

// What every search over a problem looks up, whatever its objective; built once per problem.
struct ProblemTables {
  explicit ProblemTables(const PlanProblem& problem);

  UnitMemory memory;
  PlacementRules rules;
  // Per device: the lowest device that is interchangeable with it (partition/interchangeable.h).
  std::vector<std::uint32_t> kinds;
};

// Devices that can hold at least one unit they may run.
std::vector<std::uint32_t> usable_devices(const PlanProblem& problem, const ProblemTables& tables);

}  // namespace shoal
