#include "partition/search_space.h"

#include <algorithm>
#include <utility>

namespace shoal {

SearchSpace::SearchSpace(const PlanProblem& problem, const ProblemTables& tables, const StageTimes& times,
                         std::vector<std::uint32_t> devices, Ceiling ceiling)
    : problem_(problem),
      tables_(tables),
      times_(times),
      devices_(std::move(devices)),
      ceiling_(ceiling),
      num_units_(static_cast<std::uint32_t>(problem.units.size())),
      layers_(layers_of(problem)) {
  for (const std::uint32_t device : devices_) {
    room_.push_back(room_of(problem, device));
    closes_.push_back(shoal::may_close_ring(problem, device));
    any_ring_ = any_ring_ || closes_.back();
  }
  fill_reach();
  fill_links();
}

SearchSpace SearchSpace::with(const std::vector<std::uint32_t>& places) const {
  std::vector<std::uint32_t> devices;
  for (const std::uint32_t v : places) devices.push_back(devices_[v]);
  SearchSpace some(problem_, tables_, times_, std::move(devices), ceiling_);
  some.min_devices = min_devices;
  some.exact_devices = exact_devices;
  return some;
}

void SearchSpace::fill_reach() {
  reach_.reserve(devices_.size() * (num_units_ + std::size_t{1}));
  for (std::uint32_t v = 0; v < devices_.size(); ++v) {
    const std::uint32_t device = devices_[v];
    const auto fits = [&](Range units) {
      return memory().of_range(units.begin, units.end) + stage_scratch(problem_, device, units) <= room_[v] &&
             !(ceiling_.times && ceiling_.times->stage(device, units.begin, units.end) > ceiling_.seconds);
    };
    std::uint32_t end = 0;
    for (std::uint32_t begin = 0; begin <= num_units_; ++begin) {
      end = std::max(end, begin);
      const std::uint32_t last = tables_.rules.furthest(device, begin);
      while (end < last && fits({begin, end + 1})) ++end;
      reach_.push_back(end);
    }
  }
}

void SearchSpace::fill_links() {
  output_bytes_.push_back(0);
  for (const UnitShape& unit : problem_.units)
    output_bytes_.push_back(static_cast<double>(unit.output_bytes));
  links_.resize(devices_.size() * devices_.size());
  for (std::size_t u = 0; u < devices_.size(); ++u) {
    for (std::size_t w = 0; w < devices_.size(); ++w) {
      Link& link = links_[u * devices_.size() + w];
      const std::uint32_t from = devices_[u], to = devices_[w];
      link = {times_.link_latency(from, to), times_.seconds_per_byte(from, to), 0};
      if (ceiling_.times) link.busy_per_byte = ceiling_.times->seconds_per_byte(from, to);
    }
  }
  for (const std::uint32_t device : devices_) {
    const bool bounded = ceiling_.times != nullptr;
    entry_.push_back(under_ceiling(times_.entry(device), bounded ? ceiling_.times->entry(device) : 0));
    exit_.push_back(under_ceiling(times_.exit(device), bounded ? ceiling_.times->exit(device) : 0));
  }
}

bool SearchSpace::may_close(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const {
  const std::uint32_t device = devices_[v];
  if (!closes_[v]) return false;
  const PlacementRules& rules = tables_.rules;
  if (!rules.may_run(device, {0, prefix}) || !rules.may_run(device, {suffix, num_units_})) return false;
  const std::uint64_t scratch =
      stage_scratch(problem_, device, {0, prefix}) + stage_scratch(problem_, device, {suffix, num_units_});
  if (memory().of_ends(prefix, suffix) + scratch > room_[v]) return false;
  if (!ceiling_.times) return true;
  return ceiling_.times->stage(device, 0, prefix) + ceiling_.times->stage(device, suffix, num_units_) <=
         ceiling_.seconds;
}

double SearchSpace::closing(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const {
  double seconds = stage(v, suffix, num_units_);
  if (!times_.sums()) seconds = stage(v, 0, prefix) + seconds;  // a device's stages add
  return times_.join(seconds, exit(v));
}

}  // namespace shoal
