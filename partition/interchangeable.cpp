#include "partition/interchangeable.h"

#include <algorithm>

namespace shoal {
namespace {

bool same(const LinkProfile& a, const LinkProfile& b) {
  return a.latency == b.latency && a.bytes_per_second == b.bytes_per_second;
}

bool same_profile(const DeviceProfile& a, const DeviceProfile& b) {
  const auto same_cost = [](const UnitCost& x, const UnitCost& y) {
    return x.decode == y.decode && x.batch32 == y.batch32 && x.per_1k_context == y.per_1k_context;
  };
  return a.memory_bytes == b.memory_bytes && a.scratch == b.scratch && a.step_overhead == b.step_overhead &&
         a.may_compute == b.may_compute &&
         std::equal(a.units.begin(), a.units.end(), b.units.begin(), b.units.end(), same_cost);
}

}  // namespace

bool interchangeable(const PlanProblem& problem, std::uint32_t a, std::uint32_t b) {
  if (!same_profile(problem.devices[a], problem.devices[b])) return false;
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
