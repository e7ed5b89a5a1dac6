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

}  // namespace shoal
