#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Bytes of weights and KV that units take on a device; the same on every device. Scratch, which differs, and
// fixed_bytes are not counted here.
//   sum of weights (tied bytes once per group) + num_sequences * sum of KV
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

// What stages of one device take, by kind. fixed_bytes and standby_bytes are not counted.
//   memory = weights and KV as above + sum of the stages' scratch
struct MemoryNeed {
  std::uint64_t weights = 0;
  std::uint64_t kv = 0;
  std::uint64_t scratch = 0;
  std::uint64_t total() const { return weights + kv + scratch; }
};
MemoryNeed memory_need(const PlanProblem& problem, std::uint32_t device, std::span<const Range> stages);

// Per device of the problem, fixed_bytes and standby_bytes included; 0 where it runs nothing.
std::vector<std::uint64_t> device_memory(const PlanProblem& problem, std::span<const PlannedStage> stages);

// True if every device of the plan can hold its stages.
bool memory_allows(const PlanProblem& problem, std::span<const PlannedStage> stages);

// What a device can give to units: memory less fixed_bytes and standby_bytes, 0 where it may not compute.
std::uint64_t room_of(const PlanProblem& problem, std::uint32_t device);

// Which units count as layers for min_stages and scratch.
Range layers_of(const PlanProblem& problem);

}  // namespace shoal
