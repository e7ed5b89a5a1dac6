#include "partition/feasibility.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr std::size_t kMaxExact = 16;

std::uint32_t advance(const PlanProblem& problem, const UnitMemory& memory, std::uint32_t device,
                      std::uint32_t begin) {
  const std::uint64_t room = room_of(problem, device);
  std::uint32_t end = begin;
  const auto fits = [&](Range units) {
    return memory.of_range(units.begin, units.end) + stage_scratch(problem, device, units) <= room;
  };
  while (end < problem.units.size() && fits({begin, end + 1})) ++end;
  return end;
}

}  // namespace

Coverage most_units_held(const PlanProblem& problem, const UnitMemory& memory,
                         const std::vector<std::uint32_t>& devices) {
  if (devices.size() > kMaxExact) {
    std::vector<std::uint32_t> roomiest = devices;
    std::stable_sort(roomiest.begin(), roomiest.end(), [&](std::uint32_t a, std::uint32_t b) {
      return room_of(problem, a) > room_of(problem, b);
    });
    std::uint32_t held = 0;
    for (const std::uint32_t device : roomiest) held = advance(problem, memory, device, held);
    return {held, false};
  }
  std::vector<std::uint32_t> held(std::size_t{1} << devices.size(), 0);
  std::vector<std::uint32_t> reach;  // [device][begin]
  const std::size_t width = problem.units.size() + 1;
  for (const std::uint32_t device : devices) {
    for (std::uint32_t begin = 0; begin < width; ++begin)
      reach.push_back(advance(problem, memory, device, begin));
  }
  for (std::size_t used = 1; used < held.size(); ++used) {
    for (std::size_t v = 0; v < devices.size(); ++v) {
      if (used >> v & 1)
        held[used] = std::max(held[used], reach[v * width + held[used & ~(std::size_t{1} << v)]]);
    }
  }
  return {held.back(), true};
}

}  // namespace shoal
