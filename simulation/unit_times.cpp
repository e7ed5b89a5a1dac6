#include "simulation/unit_times.h"

#include <algorithm>

#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

// sum of min(p, window) over positions p in [first, first + count); window 0: no limit.
double attended(std::uint32_t first, std::uint32_t count, std::uint32_t window) {
  const auto sum_to = [](double end) { return end * (end - 1) / 2; };  // 0 + 1 + ... + (end - 1)
  const double begin = first;
  const double end = begin + count;
  const double cut = window == 0 ? end : std::clamp<double>(window, begin, end);
  return sum_to(cut) - sum_to(begin) + (end - cut) * window;
}

}  // namespace

UnitTimes::UnitTimes(const ProfileReport& profile, const ServedModel& model) {
  for (const std::uint32_t representative : representatives(model)) {
    Unit& unit = units_.emplace_back();
    const auto index = static_cast<std::uint32_t>(units_.size() - 1);
    if (index > 0 && index < model.config.head_unit()) unit.window = model.config.layers[index - 1].window;
    for (const LayerProfile& measured : profile.units) {
      if (measured.unit != representative) continue;
      unit.first_row = measured.seconds_batch1;
      unit.further_row = std::max(0.0, measured.seconds_batch32 - measured.seconds_batch1) / 31;
      unit.per_position = measured.seconds_per_1k_context / 1000;
    }
  }
}

double UnitTimes::step_seconds(Range units, std::span<const RowGroup> groups) const {
  double rows = 0, wanted = 0;
  for (const RowGroup& group : groups) {
    rows += group.num_rows;
    wanted += group.num_wanted();
  }
  double seconds = 0;
  for (std::uint32_t index = units.begin; index < units.end; ++index) {
    const Unit& unit = units_[index];
    const double here = index + 1 == units_.size() ? wanted : rows;
    if (here == 0) continue;
    seconds += unit.first_row + unit.further_row * (here - 1);
    if (unit.per_position == 0) continue;
    for (const RowGroup& group : groups)
      seconds += unit.per_position * attended(group.first_position, group.num_rows, unit.window);
  }
  return seconds;
}

}  // namespace shoal
