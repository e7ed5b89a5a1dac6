#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// What was predicted of the plan that serves beside what was then measured, each for the same conditions: a
// prediction is what the plan's own figures (profiles and links as they were known when it was made) say of
// steps with as many rows, at the same context, as those that were measured. Pure.

struct Figure {
  double predicted = 0;
  std::optional<double> measured;  // nothing was measured yet
  // Of what was measured, in percent; positive: it takes longer (or there is more) than predicted.
  std::optional<double> error_percent() const;
};

// Seconds of one visit or of one hop, for steps of one size class.
struct SizedFigure {
  Visit visit;              // the mean of what was measured; one row without context before
  std::uint64_t steps = 0;  // measured
  Figure seconds;
};
struct StageFigures {
  std::vector<SizedFigure> sizes;  // one row first; classes that were seen
  double hand_over_seconds = 0;    // measured, per visit
};
struct HopFigures {
  DeviceId from{};  // kHub at the ends
  DeviceId to{};
  std::vector<SizedFigure> sizes;
};
struct ServiceFigures {
  double context = 0;  // of the one stream
  Figure token_seconds;
  double prompt_rows = 0;  // of first tokens, mean
  Figure first_token_seconds;
  double streams = 0;  // that shared the pipeline, mean; 0: there were none yet
  double rows_per_step = 0;
  Figure tokens_per_second;
};
struct PlanFigures {
  std::vector<StageFigures> stages;
  std::vector<HopFigures> hops;  // one more: to the first stage, between stages, to the hub
  ServiceFigures service;
};

// Of state.active, which there is.
PlanFigures plan_figures(const ClusterState& state);

// The formulas, over a plan's own figures. Seconds:
//   token       one row through all stages and hops
//   first token the prompt in chunks: each leaves a stage (a device, a link) when the one before has, and as
//               many are under way as the scheduler lets (one more than stages)
// and, for `streams` streams in steps of `rows`, tokens per second: m = streams / rows micro-batches are
// under way, and their period is the longest of m visits of the busiest device, m transfers of the busiest
// link and one micro-batch's whole way round.
double predicted_token_seconds(const PlanVersion& version, double context);
double predicted_first_token_seconds(const PlanVersion& version, std::uint32_t prompt_rows,
                                     std::uint32_t chunk_rows);
double predicted_tokens_per_second(const PlanVersion& version, double streams, double rows, double context);

}  // namespace shoal
