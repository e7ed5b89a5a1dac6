#include "partition/interchangeable.h"

#include <algorithm>

namespace shoal {
namespace {

bool same(const LinkProfile& a, const LinkProfile& b) {
  return a.closed == b.closed && a.latency == b.latency && a.bytes_per_second == b.bytes_per_second;
}

bool same_profile(const DeviceProfile& a, const DeviceProfile& b) {
  const auto same_cost = [](const UnitCost& x, const UnitCost& y) {
    return x.decode == y.decode && x.batch32 == y.batch32 && x.per_1k_context == y.per_1k_context;
  };
  return a.memory_bytes == b.memory_bytes && a.scratch == b.scratch && a.step_overhead == b.step_overhead &&
         a.may_compute == b.may_compute && a.standby_bytes == b.standby_bytes && a.bans == b.bans &&
         a.places == b.places && a.disk_bytes_per_second == b.disk_bytes_per_second &&
         a.fetch_bytes_per_second == b.fetch_bytes_per_second &&
         std::equal(a.units.begin(), a.units.end(), b.units.begin(), b.units.end(), same_cost);
}

bool is_singled_out(const PlanProblem& problem, std::uint32_t device) {
  if (problem.ring == Ring::OneDevice && problem.ring_device == device) return true;
  return std::any_of(problem.pins.begin(), problem.pins.end(),
                     [&](const Pin& pin) { return pin.device == device; });
}

}  // namespace

bool interchangeable(const PlanProblem& problem, std::uint32_t a, std::uint32_t b) {
  if (!same_profile(problem.devices[a], problem.devices[b])) return false;
  if (is_singled_out(problem, a) || is_singled_out(problem, b)) return false;
  const auto& links = problem.links;
  if (!same(problem.from_hub[a], problem.from_hub[b]) || !same(problem.to_hub[a], problem.to_hub[b]))
    return false;
  if (!same(links[a][b], links[b][a])) return false;
  for (std::size_t x = 0; x < links.size(); ++x) {
    if (x == a || x == b) continue;
    if (!same(links[a][x], links[b][x]) || !same(links[x][a], links[x][b])) return false;
  }
  return true;
}

}  // namespace shoal
