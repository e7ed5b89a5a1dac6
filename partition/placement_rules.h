#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Which device may run which unit: may_compute, bans and pins together. Memory is another matter. Pure.
class PlacementRules {
 public:
  explicit PlacementRules(const PlanProblem& problem);

  // The furthest `end` such that the device may run [begin, end); `begin` itself if it may not run that unit.
  std::uint32_t furthest(std::uint32_t device, std::uint32_t begin) const {
    return furthest_[device * (num_units_ + std::size_t{1}) + begin];
  }
  bool may_run(std::uint32_t device, Range units) const {
    return units.empty() || furthest(device, units.begin) >= units.end;
  }
  bool allow(std::span<const PlannedStage> stages) const;

 private:
  std::size_t num_units_;
  std::vector<std::uint32_t> furthest_;  // [device][begin]
};

// May the device run the first units and, after others, the last?
inline bool may_close_ring(const PlanProblem& problem, std::uint32_t device) {
  return problem.ring == Ring::AnyDevice ||
         (problem.ring == Ring::OneDevice && problem.ring_device == device);
}

}  // namespace shoal
