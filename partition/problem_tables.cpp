#include "partition/problem_tables.h"

#include "partition/interchangeable.h"

namespace shoal {

ProblemTables::ProblemTables(const PlanProblem& problem) : memory(problem), rules(problem) {
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    std::uint32_t kind = v;
    for (std::uint32_t w = 0; w < v && kind == v; ++w) {
      if (kinds[w] == w && interchangeable(problem, v, w)) kind = w;
    }
    kinds.push_back(kind);
  }
}

std::vector<std::uint32_t> usable_devices(const PlanProblem& problem, const ProblemTables& tables) {
  std::vector<std::uint32_t> devices;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    const std::uint64_t room = room_of(problem, v);
    bool holds_any = false;
    for (std::uint32_t u = 0; u < problem.units.size() && !holds_any; ++u) {
      const std::uint64_t bytes = tables.memory.of_range(u, u + 1) + stage_scratch(problem, v, {u, u + 1});
      holds_any = tables.rules.may_run(v, {u, u + 1}) && bytes <= room;
    }
    if (holds_any) devices.push_back(v);
  }
  return devices;
}

}  // namespace shoal
