#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Exact up to this many devices whatever the units are, and up to this many when all layers are alike (for
// Throughput also when no ring may close); above, the plan says whether the search proved it, and its lower
// bound if not.
inline constexpr std::uint32_t kExactDevices = 10;
inline constexpr std::uint32_t kExactUniformDevices = 16;

// The best plan: which devices, in which order, which units. The embedding and the head are units like any
// other; the device that may close the ring can run the first and the last. Of equally good plans the one
// with fewest devices, then lowest indices, as far as the search was exact. Pure and deterministic: no clock,
// no random numbers. Errors:
//   InvalidArgument  a malformed problem, with the entry that is wrong
//   OutOfMemory      what is short and by how much, or the unit that finds no room
//   Unavailable      fewer devices can take part than min_stages asks for, with both numbers; or it is pins,
//   closed
//                    links or most_bottleneck that no plan keeps
Result<Plan> make_plan(const PlanProblem& problem);

// Figures of a given plan under a problem; also of plans that break min_stages or exceed memory.
// InvalidArgument if the stages do not cover the units in order.
Result<Prediction> predict(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

// The plan after the devices `lost` are gone. Survivors keep their units; each lost run of units goes to its
// neighbours and at most one further device, split where the objective is least and memory allows. Where that
// cannot be, a plan from scratch over the survivors. min_stages does not bind a repair. `optimal` is false
// unless planned from scratch. Errors: as make_plan's.
Result<Plan> repair_plan(const PlanProblem& problem, const Plan& current,
                         const std::vector<std::uint32_t>& lost);

}  // namespace shoal
