// How good the search is that serves where a full one is too dear: asked on clusters small enough to know the
// best.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <vector>

#include "partition/planner.h"
#include "partition/soonest_search.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

constexpr Effort kNothingInFull{.exact_labels = 200'000, .try_labels = 0, .uniform_search = false};

struct Gaps {
  std::vector<double> above;   // relative, of the plan above the best one
  std::vector<double> proven;  // relative, of the plan above its own lower bound
};

void add(Gaps& gaps, const PlanProblem& problem) {
  const Result<Plan> best = make_plan(problem);
  if (!best) return;
  REQUIRE(best->optimal);
  const ProblemTables tables(problem);
  const StageTimes one_row(problem, Objective::Latency, 1.0);
  const SearchSpace space(problem, tables, one_row, usable_devices(problem, tables));
  const SearchOutcome found = soonest_plan(space, {}, kNothingInFull);
  REQUIRE(found.found());
  CHECK(found.objective >= best->prediction.seconds_per_token * (1 - 1e-9));
  CHECK(found.lower_bound <= best->prediction.seconds_per_token * (1 + 1e-9));
  gaps.above.push_back(found.objective / best->prediction.seconds_per_token - 1);
  gaps.proven.push_back(found.objective / found.lower_bound - 1);
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

TEST_CASE("without a full search plans are close to the best, and their bounds close to them") {
  for (const bool uniform : {true, false}) {
    Gaps gaps;
    for (std::uint64_t seed = 1; seed <= 120 / kCaseStride; ++seed) {
      CAPTURE(seed);
      add(gaps, random_cluster(seed, {.num_devices = 9 + static_cast<std::uint32_t>(seed % 4),
                                      .uniform_layers = uniform,
                                      .total_memory = 1.15 + 0.15 * static_cast<double>(seed % 8),
                                      .ring = static_cast<Ring>(seed % 3)}));
    }
    std::vector<double> sorted = gaps.above;
    std::sort(sorted.begin(), sorted.end());
    const double worst = sorted.back();
    const auto at_best = std::count_if(sorted.begin(), sorted.end(), [](double gap) { return gap < 1e-9; });
    std::printf(
        "  %zu clusters of 9 to 12 devices%s: %ld at the best, mean %.3f %% above it, worst %.2f %%; bound "
        "%.2f %% below "
        "on average, %.1f %% at worst\n",
        sorted.size(), uniform ? ", layers alike" : "", static_cast<long>(at_best), 100 * mean(gaps.above),
        100 * worst, 100 * mean(gaps.proven),
        100 * *std::max_element(gaps.proven.begin(), gaps.proven.end()));
    CHECK(mean(gaps.above) < 0.005);
    CHECK(worst < 0.05);
    CHECK(mean(gaps.proven) < 0.02);
  }
}

}  // namespace shoal
