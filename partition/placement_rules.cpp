#include "partition/placement_rules.h"

#include <algorithm>

namespace shoal {

PlacementRules::PlacementRules(const PlanProblem& problem)
    : num_units_(problem.units.size()), furthest_(problem.devices.size() * (num_units_ + 1)) {
  constexpr std::uint32_t kFree = ~std::uint32_t{0};
  std::vector<std::uint32_t> pinned(num_units_, kFree);
  for (const Pin& pin : problem.pins) pinned[pin.unit] = pin.device;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    const DeviceProfile& device = problem.devices[v];
    std::uint32_t* row = &furthest_[v * (num_units_ + 1)];
    row[num_units_] = static_cast<std::uint32_t>(num_units_);
    for (auto u = static_cast<std::uint32_t>(num_units_); u-- > 0;) {
      const bool banned = !device.bans.empty() && device.bans[u];
      const bool elsewhere = pinned[u] != kFree && pinned[u] != v;
      const bool may_run = device.may_compute && !banned && !elsewhere;
      row[u] = may_run ? std::max(row[u + 1], u + 1) : u;
    }
  }
}

bool PlacementRules::allow(std::span<const PlannedStage> stages) const {
  return std::all_of(stages.begin(), stages.end(),
                     [&](const PlannedStage& stage) { return may_run(stage.device, stage.units); });
}

}  // namespace shoal
