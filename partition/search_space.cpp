#include "partition/search_space.h"

#include <utility>

namespace shoal {

SearchSpace::SearchSpace(const PlanProblem& problem, const UnitMemory& memory, const StageTimes& times,
                         std::vector<std::uint32_t> devices, Ceiling ceiling)
    : problem_(problem),
      memory_(memory),
      times_(times),
      devices_(std::move(devices)),
      ceiling_(ceiling),
      num_units_(static_cast<std::uint32_t>(problem.units.size())),
      layers_(layers_of(problem)),
      rules_(problem) {
  reach_.reserve(devices_.size() * (num_units_ + std::size_t{1}));
  for (const std::uint32_t device : devices_) {
    const std::uint64_t room = room_of(problem, device);
    room_.push_back(room);
    const auto fits = [&](Range units) {
      return memory.of_range(units.begin, units.end) + stage_scratch(problem, device, units) <= room;
    };
    for (std::uint32_t begin = 0; begin <= num_units_; ++begin) {
      std::uint32_t end = begin;
      const std::uint32_t last = rules_.furthest(device, begin);
      while (end < last && fits({begin, end + 1}) &&
             !(ceiling_.times && ceiling_.times->stage(device, begin, end + 1) > ceiling_.seconds)) {
        ++end;
      }
      reach_.push_back(end);
    }
  }
}

double SearchSpace::entry(std::uint32_t v) const {
  if (ceiling_.times && ceiling_.times->entry(devices_[v]) > ceiling_.seconds) return kNever;
  return times_.entry(devices_[v]);
}

double SearchSpace::exit(std::uint32_t v) const {
  if (ceiling_.times && ceiling_.times->exit(devices_[v]) > ceiling_.seconds) return kNever;
  return times_.exit(devices_[v]);
}

bool SearchSpace::may_close(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const {
  const std::uint32_t device = devices_[v];
  if (!may_close_ring(problem_, device)) return false;
  if (!rules_.may_run(device, {0, prefix}) || !rules_.may_run(device, {suffix, num_units_})) return false;
  const std::uint64_t scratch =
      stage_scratch(problem_, device, {0, prefix}) + stage_scratch(problem_, device, {suffix, num_units_});
  if (memory_.of_ends(prefix, suffix) + scratch > room_[v]) return false;
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
