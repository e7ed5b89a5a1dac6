#pragma once

#include <span>
#include <vector>

#include "base/micro_batch.h"
#include "base/range.h"
#include "coordinator/cluster_state.h"

namespace shoal {

// What a stage's step takes on one device, from its profile. Rows R of all groups, W of them wanted:
//   embedding, layer   batch1 + (batch32 - batch1) (R - 1) / 31 + sum over rows of min(position, window)
//   per_1k / 1000 head               the same with W rows, nothing where W = 0
// The planner's formula (partition/cost.h), with each row's own position in place of one context. Pure.
class UnitTimes {
 public:
  // `profile` has every representative unit of the model (a unit it lacks takes no time).
  UnitTimes(const ProfileReport& profile, const ServedModel& model);

  double step_seconds(Range units, std::span<const RowGroup> groups) const;

 private:
  struct Unit {
    double first_row = 0;
    double further_row = 0;
    double per_position = 0;
    std::uint32_t window = 0;  // 0: all positions
  };
  std::vector<Unit> units_;
};

}  // namespace shoal
