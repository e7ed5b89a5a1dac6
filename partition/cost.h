#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

#include "partition/memory.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

inline constexpr double kNever = std::numeric_limits<double>::infinity();

// Whether what a device must load first counts as its time (PlanProblem::expected_tokens): in choosing a
// plan, not in what the plan then promises.
enum class Loading : std::uint8_t { Counted, Ignored };

// Seconds, under one objective (o = step_overhead, c = context, u = the unit, v = the device):
//   unit(B)  = decode + (batch32 - decode) (B - 1) / 31 + B c per_1k_context / 1000   a step of B >= 1 rows
//   load(u)  = (weights / disk or fetch rate, 0 if in memory  +  live KV / fetch rate, 0 if in memory)
//              / expected_tokens                                                      if Loading::Counted
//   visit(B) = o + sum of unit(B) and load(u) over the stage's units
// Latency      stage = visit(1); hop = latency + bytes / rate; a plan's time (TPOT, time per output token)
//              is the sum of all, from the hub and back
// Throughput   k streams on S devices travel as S micro-batches of b = k / S rows (or rows_per_step given):
//              stage = visit(max(1, b)) / b per token, and a device's stages add; hop = bytes / rate, since
//              the latency does not occupy a link; a plan's time is the largest of all
// Between and beyond the two measured batch sizes the time is taken as linear in the rows. What may not cross
// a closed link takes kNever.
class StageTimes {
 public:
  StageTimes(const PlanProblem& problem, Objective objective, double rows,
             Loading loading = Loading::Counted);

  // Everything takes no time, but for closed links.
  static StageTimes nothing(const PlanProblem& problem);

  double stage(std::uint32_t device, std::uint32_t begin, std::uint32_t end) const {
    const double* sums = &prefix_[device * (num_units_ + std::size_t{1})];
    return overhead_[device] + (sums[end] - sums[begin]);
  }
  // The hop after unit `cut` - 1.
  double hop(std::uint32_t from, std::uint32_t to, std::uint32_t cut) const {
    const Link& link = links_[from * num_devices_ + to];
    return link.latency + output_bytes_[cut - 1] * link.seconds_per_byte;
  }
  double link_latency(std::uint32_t from, std::uint32_t to) const {
    return links_[from * num_devices_ + to].latency;
  }
  double seconds_per_byte(std::uint32_t from, std::uint32_t to) const {
    return links_[from * num_devices_ + to].seconds_per_byte;
  }
  double entry(std::uint32_t device) const { return entry_[device]; }
  double exit(std::uint32_t device) const { return exit_[device]; }

  bool sums() const { return objective_ != Objective::Throughput; }
  double join(double a, double b) const { return sums() ? a + b : (a < b ? b : a); }

  // A whole plan's time. Any device may hold any number of stages.
  double plan(std::span<const PlannedStage> stages) const;

 private:
  struct Link {
    double latency = 0;
    double seconds_per_byte = 0;
  };

  Objective objective_;
  std::uint32_t num_units_;
  std::size_t num_devices_;
  std::vector<double> prefix_;    // per device, sums over units
  std::vector<double> overhead_;  // per device
  std::vector<Link> links_;
  std::vector<double> output_bytes_;
  std::vector<double> entry_;
  std::vector<double> exit_;
};

// b of the formulas above for a plan on `num_devices` devices.
double rows_per_step(const PlanProblem& problem, std::size_t num_devices);
std::size_t num_distinct_devices(std::span<const PlannedStage> stages);

// How busy the busiest device or link of plans on `num_devices` devices is, per token.
inline StageTimes busyness(const PlanProblem& problem, std::size_t num_devices,
                           Loading loading = Loading::Counted) {
  return StageTimes(problem, Objective::Throughput, rows_per_step(problem, num_devices), loading);
}

// Seconds until unit u can run on the device: load(u) above times expected_tokens.
double load_seconds(const PlanProblem& problem, std::uint32_t device, std::uint32_t unit);

// The problem's own objective (Balanced: Latency) for plans of any number of devices; the times are built
// when first asked for.
class ObjectiveTimes {
 public:
  explicit ObjectiveTimes(const PlanProblem& problem)
      : problem_(problem), times_(problem.devices.size() + 1) {}
  const StageTimes& for_devices(std::size_t num_devices);
  double of(std::span<const PlannedStage> stages) {
    return for_devices(num_distinct_devices(stages)).plan(stages);
  }

 private:
  const PlanProblem& problem_;
  std::vector<std::optional<StageTimes>> times_;
};

}  // namespace shoal
