#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Bytes of weights and KV that units take on a device; the same on every device. Scratch, which differs, and
// fixed_bytes are not counted here.
//   sum of weights (tied bytes once per group) + sum of KV
// Pure, built once per problem in O(num_units^2).
class UnitMemory {
 public:
  explicit UnitMemory(const PlanProblem& problem);

  std::uint64_t of_range(std::uint32_t begin, std::uint32_t end) const { return range_[index(begin, end)]; }
  // A device that runs the first units [0, prefix) and the last [suffix, num_units).
  std::uint64_t of_ends(std::uint32_t prefix, std::uint32_t suffix) const {
    return ends_[index(prefix, suffix)];
  }

 private:
  std::size_t index(std::uint32_t a, std::uint32_t b) const { return a * (num_units_ + std::size_t{1}) + b; }

  std::uint32_t num_units_;
  std::vector<std::uint64_t> range_;
  std::vector<std::uint64_t> ends_;
};

// What a stage of these units computes in on this device; 0 for no units.
std::uint64_t stage_scratch(const PlanProblem& problem, std::uint32_t device, Range units);
// What all stages of any plan together compute in at least.
std::uint64_t least_scratch(const PlanProblem& problem);

// What stages of one device take, by kind. fixed_bytes is not counted.
//   memory = weights and KV as above + sum of the stages' scratch
struct MemoryNeed {
  std::uint64_t weights = 0;
  std::uint64_t kv = 0;
  std::uint64_t scratch = 0;
  std::uint64_t total() const { return weights + kv + scratch; }
};
MemoryNeed memory_need(const PlanProblem& problem, std::uint32_t device, std::span<const Range> stages);

// Seconds, under one objective (FACTS: "Recommended planner"; o = step_overhead, c = context):
//   unit(B)   = decode + (batch32 - decode) (B - 1) / 31 + B c per_1k_context / 1000      a step of B >= 1
//   rows visit(B)  = o + sum of unit(B) over the stage's units Latency      stage = visit(1); hop = latency +
//   bytes / rate; a plan's time is the sum of all Throughput   k streams on S devices travel as S
//   micro-batches of b = k / S rows (or rows_per_step given):
//                stage = visit(max(1, b)) / b per token, and a device's stages add; hop = bytes / rate, since
//                the latency does not occupy a link; a plan's time is the largest of all
// Between and beyond the two measured batch sizes the time is taken as linear in the rows.
class StageTimes {
 public:
  StageTimes(const PlanProblem& problem, Objective objective, double rows);

  double stage(std::uint32_t device, std::uint32_t begin, std::uint32_t end) const {
    const double* sums = &prefix_[device * (num_units_ + std::size_t{1})];
    return overhead_[device] + (sums[end] - sums[begin]);
  }
  // The hop after unit `cut` - 1.
  double hop(std::uint32_t from, std::uint32_t to, std::uint32_t cut) const {
    const Link& link = links_[from * num_devices_ + to];
    return link.latency + output_bytes_[cut - 1] * link.seconds_per_byte;
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

// Which units count as layers for min_stages.
Range layers_of(const PlanProblem& problem);

// True if every device of the plan can hold its stages.
bool memory_allows(const PlanProblem& problem, std::span<const PlannedStage> stages);

// What a device can give to units: memory less fixed_bytes, 0 where it may not compute.
std::uint64_t room_of(const PlanProblem& problem, std::uint32_t device);

}  // namespace shoal
