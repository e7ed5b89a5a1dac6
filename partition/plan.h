#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"

namespace shoal {

// Consecutive units [begin, end) on one device (index into the problem's devices).
struct PlannedStage {
  std::uint32_t device = 0;
  Range units;
  friend bool operator==(const PlannedStage&, const PlannedStage&) = default;
};

// What the planner promises; shown beside what is then measured. Formulas: partition/cost.h and
// partition/prediction.h.
struct Prediction {
  double seconds_per_token = 0;         // one stream: stages, hops and the return
  double bottleneck_seconds = 0;        // num_streams streams: the busiest device's or link's time per token
  double tokens_per_second = 0;         // num_streams streams together, hops included
  std::uint32_t num_micro_batches = 1;  // in flight, to reach tokens_per_second
  std::vector<double> stage_seconds;    // per stage, one row
  std::vector<double> hop_seconds;      // one row: hub -> first, between stages, last -> hub
  std::vector<std::uint64_t> memory_bytes;  // per device of the problem, fixed_bytes included; 0 where unused
  double time_to_first_token = 0;           // of the problem's prompt in its chunks; 0 where none is asked
  double load_seconds = 0;  // the longest that any device loads what it does not hold, one unit after another
};

struct Plan {
  std::vector<PlannedStage> stages;  // in pipeline order; a device may hold several (embedding and head, say)
  Prediction prediction;
  bool optimal = false;  // proven
  double lower_bound =
      0;  // of the objective, seconds; the objective itself where optimal. Balanced: of Latency
};

}  // namespace shoal
