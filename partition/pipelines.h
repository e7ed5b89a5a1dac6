#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Several pipelines side by side, each with the whole model, no device in two of them.
struct Pipelines {
  std::vector<Plan> plans;  // of the problem's devices; each the least busy that was found on its own ones
  double tokens_per_second = 0;  // of all together: sum of 1 / bottleneck
  double upper_bound = 0;        // no set of pipelines does more
  bool optimal() const { return tokens_per_second >= upper_bound * (1 - 1e-9); }
};

// The pipelines that together serve most. Streams are shared out evenly among them, and each has KV for as
// many of the sequences: with R pipelines num_streams / R and num_sequences / R, rounded up for those that
// get one more. Devices are dealt to R groups by speed and then exchanged while that helps, as counting tells
// (partition/busy_bound.h) and then as plans tell, for the R that look best. R = 1 is among them, so one
// pipeline is the answer where that is best. `most_pipelines`: 0 is any number.
//
// The bound: whatever a device does, a token needs every unit once. With weights y on the units that sum to
// 1,
//   tokens per second <= sum over devices v of max over ranges R that fit v of y(R) / time of R on v per
//   token
// for every y; y is chosen by multiplicative updates so that the bound is low. Links are not counted.
// Pure and deterministic. Errors: as make_plan's.
Result<Pipelines> make_pipelines(const PlanProblem& problem, std::uint32_t most_pipelines = 0);

}  // namespace shoal
