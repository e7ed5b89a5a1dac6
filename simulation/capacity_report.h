#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"
#include "simulation/failures.h"

namespace shoal {

struct Quantiles {
  std::uint64_t count = 0;
  double mean = 0, p50 = 0, p95 = 0, p99 = 0, most = 0;  // all 0 where count is
};
// Nearest rank. Sorts `samples`.
Quantiles quantiles_of(std::vector<double>& samples);

struct StageReport {
  std::string device;
  Range units;
  std::string holds;             // in words: "embedding + layers 0-9"
  double predicted_seconds = 0;  // one row
};

struct DeviceUse {
  std::string name;
  std::string kind;
  std::string pipeline;
  std::string holds;               // of the last plan; "" where it has no part
  double busy = 0;                 // share of the time that its compute thread worked, [0, 1]
  std::uint64_t memory_bytes = 0;  // planned
  double watts = 0;                // mean; 0 where unknown
};

struct LinkUseReport {
  std::string from;  // a device's name, or "coordinator"
  std::string to;
  std::string pipeline;
  std::uint64_t bytes = 0;
  double busy = 0;  // share of the time that its wire was taken
};

// What one failure came to. Times in seconds; negative: it did not come to that.
struct RecoveryReport {
  std::string device;
  std::string pipeline;
  FailureKind kind = FailureKind::Process;
  double at = 0;
  bool had_part = false;       // in the plan that served
  std::string held;            // what it ran
  double detected_after = -1;  // until the hub counted it as lost
  double serving_after = -1;   // until the repaired plan was loaded and active, since the failure
  double token_after = -1;     // until the first token of a request that ran, since the failure
  double median_pause = 0;     // what clients saw: the longest gap of each request that ran, over all of them
  double longest_pause = 0;
  std::uint32_t requests_hit = 0;
};

struct PipelineReport {
  std::string name;
  std::vector<StageReport> stages;         // of the last plan
  double predicted_seconds_per_token = 0;  // one stream
  double predicted_bottleneck_seconds = 0;
  bool optimal = false;
  double startup_seconds = 0;  // from power on: join, measure, probe, load
  std::uint32_t kv_positions = 0;
  std::uint64_t requests = 0;
  std::uint64_t tokens = 0;
  double mean_running = 0;  // requests in the pipeline, over time
  double mean_waiting = 0;
};

struct CapacityReport {
  double seconds = 0;  // from the first moment of arrivals to the last token
  std::uint64_t requests = 0, finished = 0, failed = 0, unanswered = 0;
  std::vector<std::string> failure_reasons;  // distinct
  std::uint64_t prompt_tokens = 0, tokens = 0;
  double tokens_per_second = 0;    // of answers
  double requests_per_second = 0;  // finished
  double offered_per_second = 0;   // arrivals
  Quantiles first_token;           // seconds from a request's arrival to its first token
  Quantiles between_tokens;        // every gap
  Quantiles answer;                // from arrival to the last token
  std::vector<PipelineReport> pipelines;
  std::vector<DeviceUse> devices;
  std::vector<LinkUseReport> links;  // that carried anything, busiest first
  std::vector<RecoveryReport> recoveries;
  double watts = 0;             // all devices with figures, mean over `seconds`; 0: none has
  double joules_per_token = 0;  // all their energy over all tokens
  std::string bottleneck;       // one sentence or two
};

}  // namespace shoal
