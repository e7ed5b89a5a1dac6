#include "partition/balanced_search.h"

#include <algorithm>
#include <utility>

#include "partition/busy_bound.h"
#include "partition/soonest_search.h"

namespace shoal {
namespace {

constexpr double kClearly = 1e-9;  // relative: less of a difference is rounding
constexpr double kNarrow = 1e-3;   // relative: from here on, steps instead of halving
constexpr Effort kOneOfMany{.exact_labels = 1'000'000,
                            .try_labels = 20'000,
                            .price_work = 800'000,
                            .order_work = 500'000,
                            .uniform_search = false};

class BalancedSearch {
 public:
  BalancedSearch(const PlanProblem& problem, const ProblemTables& tables,
                 const std::vector<std::uint32_t>& devices)
      : problem_(problem),
        tables_(tables),
        devices_(devices),
        one_row_(problem, Objective::Latency, 1.0),
        fewest_(std::max(1u, problem.min_stages)),
        most_(static_cast<std::uint32_t>(std::min(devices.size(), problem.units.size()))) {}

  // First the least bottleneck that any number of devices reaches in time, then the soonest of the plans with
  // it.
  SearchOutcome balanced() {
    SearchSpace space(problem_, tables_, one_row_, devices_);
    space.min_devices = fewest_;
    SearchOutcome best = soonest_plan(space, {});
    if (!best.found()) return best;
    bool complete = best.complete;
    const double bound = best.lower_bound;
    const double limit = best.objective * (1 + problem_.latency_slack) * (1 + kClearly);
    double bottleneck = busyness(problem_, num_distinct_devices(best.stages)).plan(best.stages);
    for (std::uint32_t n = fewest_; n <= most_; ++n)
      complete = level_out(n, limit, best, bottleneck) && complete;
    best.objective = one_row_.plan(best.stages);
    const SearchOutcome sooner = soonest_of_all(bottleneck * (1 + kClearly), best);
    complete = complete && sooner.complete;
    if (sooner.objective < best.objective * (1 - kClearly)) best = sooner;
    best.complete = complete;
    best.lower_bound = bound;
    return best;
  }

  // The soonest plan under a ceiling, whatever its number of devices.
  SearchOutcome soonest_of_all(double ceiling, SearchOutcome best) {
    const bool any_number = problem_.rows_per_step > 0;
    bool complete = true;
    double bound = kNever;
    for (std::uint32_t n = any_number ? 1 : fewest_; n <= (any_number ? 1 : most_); ++n) {
      const StageTimes busy = busyness(problem_, n);
      if (!any_number && least_busy(space_of(busy, busy, n, kNever)) > ceiling) continue;
      SearchOutcome found = soonest(any_number ? 0 : n, busy, ceiling, best, effort_);
      complete = complete && found.complete;
      bound = std::min(bound, found.lower_bound);
      best = std::move(found);
    }
    best.complete = complete;
    best.lower_bound = complete ? best.objective : std::min(bound, best.objective);
    return best;
  }

  void spend(const Effort& effort) { effort_ = effort; }

 private:
  // Lowers `bottleneck` as far as plans on n devices reach it within `limit`, with `best` such a plan: halves
  // what is between it and the bound, then goes on in steps until a search finds none. False if a search was
  // cut off.
  bool level_out(std::uint32_t n, double limit, SearchOutcome& best, double& bottleneck) {
    const StageTimes busy = busyness(problem_, n);
    double bound = least_busy(space_of(busy, busy, n, kNever));
    bool complete = true;
    bool is_better = false;  // than other numbers of devices: only then is halving worth it
    while (bound <= bottleneck * (1 - kClearly)) {
      const double just_below = bottleneck * (1 - kClearly);
      const bool halves = is_better && bottleneck - bound > kNarrow * bottleneck;
      const double ceiling = halves ? (bound + bottleneck) / 2 : just_below;
      SearchOutcome in_time = best;
      in_time.objective = limit;
      SearchOutcome found = soonest(n, busy, ceiling, in_time, kOneOfMany);
      complete = complete && found.complete;
      if (num_distinct_devices(found.stages) == n && busy.plan(found.stages) <= ceiling * (1 + 1e-12)) {
        bottleneck = busy.plan(found.stages);
        best = std::move(found);
        is_better = true;
      } else if (halves) {
        bound = ceiling;
      } else {
        break;
      }
    }
    return complete;
  }

  SearchSpace space_of(const StageTimes& times, const StageTimes& busy, std::uint32_t n,
                       double ceiling) const {
    SearchSpace space(problem_, tables_, times, devices_, {&busy, ceiling});
    space.min_devices = fewest_;
    space.exact_devices = n;
    return space;
  }

  // The plan of least latency on n devices (0: any number) with no bottleneck above `ceiling`; `in_time`
  // where none is sooner.
  SearchOutcome soonest(std::uint32_t n, const StageTimes& busy, double ceiling, const SearchOutcome& in_time,
                        const Effort& effort) {
    return soonest_plan(space_of(one_row_, busy, n, ceiling), in_time, effort);
  }

  const PlanProblem& problem_;
  const ProblemTables& tables_;
  const std::vector<std::uint32_t>& devices_;
  StageTimes one_row_;
  std::uint32_t fewest_;
  std::uint32_t most_;
  Effort effort_ = kOneOfMany;
};

}  // namespace

SearchOutcome balanced_plan(const PlanProblem& problem, const ProblemTables& tables,
                            const std::vector<std::uint32_t>& devices) {
  return BalancedSearch(problem, tables, devices).balanced();
}

SearchOutcome soonest_within(const PlanProblem& problem, const ProblemTables& tables,
                             const std::vector<std::uint32_t>& devices, double most_bottleneck,
                             const SearchOutcome& incumbent) {
  BalancedSearch search(problem, tables, devices);
  search.spend({});
  return search.soonest_of_all(most_bottleneck, incumbent);
}

}  // namespace shoal
