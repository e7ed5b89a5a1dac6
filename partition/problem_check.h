#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

inline constexpr std::size_t kMaxUnits = 1024;
inline constexpr std::size_t kMaxDevices = 1024;

// InvalidArgument, with the entry that is wrong, unless every figure is present, finite and in range, and no
// sum of bytes can overflow. Everything else in this folder relies on it.
Status check_problem(const PlanProblem& problem);

// InvalidArgument unless the stages cover all units in order, each on a device of the problem. The problem is
// checked.
Status check_stages(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

// Why no plan can exist, as far as counting shows: no device, too few for min_stages, a unit greater than
// every device, or all units together greater than all devices together. Success proves nothing yet.
Status check_feasible(const PlanProblem& problem);

// All units together would fit, yet no split does (or none that was tried, unless `proven`): at best the
// first `units_held` units find room.
Error no_split_error(const PlanProblem& problem, std::uint32_t units_held, bool proven);

// The model fits, but not with min_stages devices that hold a layer each.
Error min_stages_error(const PlanProblem& problem, bool proven);

std::string unit_name(const PlanProblem& problem, std::uint32_t unit);

}  // namespace shoal
