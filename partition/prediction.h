#pragma once

#include <cstdint>
#include <span>

#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Seconds from a prompt of P = prompt_tokens rows at the hub to its first token, in chunks of n =
// chunk_tokens rows, the last one shorter. Chunks pass the stages in order; a device works on one chunk at a
// time, the one that came first, and so does a link:
//   stage(c, n) = o + sum over embedding and layers of decode + slope (n - 1) + n (c + n / 2) per_1k / 1000
//                 + the head's one row, for the last chunk only         c = rows in the cache before the
//                 chunk
//   slope = (batch32 - decode) / 31; a link is busy for n bytes / rate, and a chunk arrives its latency later
//   With C equal chunks and S stages: sum of (stage + hop) + (C - 1) max over i of max(stage_i, n bytes_i /
//   rate_i)
// The chunks of one sequence wait for nothing else. 0 if no prompt is asked. The problem and the stages are
// checked.
double first_token_seconds(const PlanProblem& problem, std::span<const PlannedStage> stages);

// The rate of k = num_streams streams: in m micro-batches of B = k / m rows the period of one token each is
//   period(m) = max( m * max over devices and links of busy time per visit(B) , sum of stages(B) and hops(B)
//   )
// tokens per second = max over m in [1, devices + 2] of k / period(m). With B = 1 and m >= stages this is
// 1 / bottleneck.
struct StreamRate {
  double tokens_per_second = 0;
  std::uint32_t num_micro_batches = 1;
};
StreamRate stream_rate(const PlanProblem& problem, std::span<const PlannedStage> stages);

}  // namespace shoal
