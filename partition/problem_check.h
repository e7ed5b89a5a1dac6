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
inline constexpr std::uint32_t kMaxChunks = 1u << 16;  // of one prompt
inline constexpr double kLeastRate = 1e-9;             // bytes per second; slower is a closed link
// No sum over kMaxUnits units of three such figures overflows 64 bits.
inline constexpr std::uint64_t kMaxUnitBytes = std::uint64_t{1} << 50;

// InvalidArgument, with the entry that is wrong, unless every figure is present, finite and in range, and no
// sum of bytes can overflow. Everything else in this folder relies on it.
Status check_problem(const PlanProblem& problem);

// InvalidArgument unless the stages cover all units in order, each on a device of the problem. The problem is
// checked.
Status check_stages(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

// For messages: "layer 3" or the unit's own name; "device 2 (cam-2)"; "412 MB", "1.50 MB", "800 bytes".
std::string unit_name(const PlanProblem& problem, std::uint32_t unit);
std::string device_name(const PlanProblem& problem, std::size_t device);
std::string size_text(std::uint64_t bytes);

}  // namespace shoal
