#include "partition/planner.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "partition/cost.h"
#include "partition/feasibility.h"
#include "partition/local_search.h"
#include "partition/path_search.h"
#include "partition/problem_check.h"
#include "partition/uniform_search.h"

namespace shoal {
namespace {

constexpr std::size_t kBeamWidth = 48;
constexpr std::size_t kWideBeam = 512;
constexpr std::size_t kExactLabels = 8'000'000;  // memory is the only limit up to kExactDevices
constexpr std::size_t kTryLabels = 150'000;      // beyond it, what a proof may cost
constexpr std::size_t kLevelLabels = 1'000'000;  // one of Balanced's many searches
constexpr double kClearly = 1e-9;                // relative: less of a difference is rounding
constexpr double kNarrow = 1e-3;                 // relative: from here on, steps instead of halving

// Which devices a plan may use, which of them the search looks at, and the tables that depend on neither
// objective.
class Planner {
 public:
  explicit Planner(const PlanProblem& problem)
      : problem_(problem), rules_(problem), memory_(problem), times_(problem) {
    for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
      if (problem.devices[v].may_compute && can_hold_any_unit(v)) usable_.push_back(v);
    }
    candidates_ = usable_;
    if (candidates_.size() > kMaxSearchDevices) keep_fastest();
  }

  SearchOutcome search() {
    switch (problem_.objective) {
      case Objective::Latency:
        return least_latency();
      case Objective::Throughput:
        return least_bottleneck();
      case Objective::Balanced:
        return balanced();
    }
    SHOAL_CHECK(false);
  }

  // Of the last search; the objective itself if it was complete.
  double lower_bound() const { return lower_bound_; }

 private:
  bool can_hold_any_unit(std::uint32_t v) const {
    const std::uint64_t room = room_of(problem_, v);
    for (std::uint32_t u = 0; u < problem_.units.size(); ++u) {
      if (!rules_.may_run(v, {u, u + 1})) continue;
      if (memory_.of_range(u, u + 1) + stage_scratch(problem_, v, {u, u + 1}) <= room) return true;
    }
    return false;
  }

  // Ranked by the time of the whole model, scaled up where only a part of it fits.
  void keep_fastest() {
    const auto num_units = static_cast<std::uint32_t>(problem_.units.size());
    const double whole = static_cast<double>(std::max<std::uint64_t>(1, memory_.of_range(0, num_units)));
    const StageTimes one_row(problem_, Objective::Latency, 1.0);
    std::vector<std::pair<double, std::uint32_t>> ranked;
    for (const std::uint32_t v : usable_) {
      const double share = std::min(1.0, static_cast<double>(room_of(problem_, v)) / whole);
      const double seconds = one_row.stage(v, 0, num_units) + (one_row.entry(v) + one_row.exit(v)) / share;
      ranked.emplace_back(seconds, v);
    }
    std::sort(ranked.begin(), ranked.end());
    ranked.resize(kMaxSearchDevices);
    candidates_.clear();
    for (const auto& [seconds, v] : ranked) candidates_.push_back(v);
    std::sort(candidates_.begin(), candidates_.end());
  }

  bool is_small() const { return usable_.size() <= kExactDevices; }
  bool is_uniform() const { return usable_.size() <= kExactUniformDevices && has_uniform_layers(problem_); }
  bool sees_all() const { return candidates_.size() == usable_.size(); }

  // A narrow beam for an incumbent, then the proof.
  SearchOutcome search_space(PathSearch& search, const SearchOutcome& incumbent) const {
    SearchOutcome first = search.run({kBeamWidth, kExactLabels}, incumbent);
    if (first.complete) return first;
    if (is_small()) return search.run({.max_labels = kExactLabels}, first);
    if (candidates_.size() <= kExactUniformDevices) {
      SearchOutcome tried = search.run({.max_labels = kTryLabels}, first);
      if (tried.complete) return tried;
      return search.run({kWideBeam, kExactLabels}, tried);
    }
    return first;
  }

  SearchOutcome least_latency() {
    const StageTimes& times = times_.for_devices(1);
    SearchSpace space(problem_, memory_, times, candidates_);
    space.min_devices = std::max(1u, problem_.min_stages);
    PathSearch search(space);
    SearchOutcome best = search_space(search, {});
    if (!best.complete && is_uniform()) {
      best = uniform_search(std::vector<const SearchSpace*>(candidates_.size() + 1, &space), best);
    }
    if (!best.complete) best = improve_plan(problem_, times_, std::move(best));
    best.complete = best.complete && sees_all();
    lower_bound_ = best.complete ? best.objective : bound_of_all(times, 0);
    return best;
  }

  // No plan on the usable devices, seen by the search or not, is better. num_devices: exactly; 0: any number.
  // A plan that returns to its first device has one stage more than devices.
  double bound_of_all(const StageTimes& times, std::uint32_t num_devices) const {
    SearchSpace space(problem_, memory_, times, usable_);
    space.min_devices = std::max(1u, problem_.min_stages);
    if (num_devices == 0)
      return CompletionBound(space, space.num_devices(), 0).at_start(space, space.min_devices);
    space.exact_devices = num_devices + 1;
    const CompletionBound bound(space, space.num_devices(), 0);
    return std::min(bound.at_start(space, num_devices), bound.at_start(space, num_devices + 1));
  }

  std::uint32_t most_devices() const {
    return static_cast<std::uint32_t>(std::min(usable_.size(), problem_.units.size()));
  }

  // The rows of a step depend on the number of devices, so each number is searched on its own, fewest first.
  SearchOutcome least_bottleneck() {
    SearchOutcome best = bottleneck_by_number();
    if (!best.complete && is_uniform()) best = uniform_bottleneck(best);
    if (!best.complete) best = improve_plan(problem_, times_, std::move(best));
    if (!best.found()) return best;
    if (best.complete) lower_bound_ = best.objective;
    return with_least_latency(std::move(best));
  }

  SearchSpace space_for(std::uint32_t num_devices) {
    SearchSpace space(problem_, memory_, times_.for_devices(num_devices), candidates_);
    space.min_devices = std::max(1u, problem_.min_stages);
    space.exact_devices = num_devices;
    return space;
  }

  SearchOutcome bottleneck_by_number() {
    SearchOutcome best;
    bool complete = sees_all();
    double bound = kNever;
    for (std::uint32_t n = std::max(1u, problem_.min_stages); n <= most_devices(); ++n) {
      const double least = bound_of_all(times_.for_devices(n), n);
      if (least >= best.objective * (1 - 1e-12)) continue;
      bound = std::min(bound, least);
      if (n > candidates_.size()) continue;
      const SearchSpace space = space_for(n);
      PathSearch search(space);
      best = search_space(search, best);
      complete = complete && best.complete;
    }
    best.complete = complete;
    lower_bound_ = std::min(bound, best.objective);
    return best;
  }

  SearchOutcome uniform_bottleneck(const SearchOutcome& incumbent) {
    std::vector<SearchSpace> spaces;
    for (std::uint32_t n = 1; n <= candidates_.size(); ++n) spaces.push_back(space_for(n));
    std::vector<const SearchSpace*> by_number(1, nullptr);
    for (const SearchSpace& space : spaces) by_number.push_back(&space);
    return uniform_search(by_number, incumbent);
  }

  // Among plans with as many devices and no longer bottleneck, the one that answers a single stream soonest.
  SearchOutcome with_least_latency(SearchOutcome best) {
    const auto num_devices = static_cast<std::uint32_t>(num_distinct_devices(best.stages));
    const StageTimes one_row(problem_, Objective::Latency, 1.0);
    const Ceiling ceiling{&times_.for_devices(num_devices), best.objective * (1 + 1e-12)};
    SearchSpace space(problem_, memory_, one_row, candidates_, ceiling);
    space.min_devices = std::max(1u, problem_.min_stages);
    space.exact_devices = num_devices;
    SearchOutcome sooner;
    sooner.stages = best.stages;
    sooner.objective = one_row.plan(best.stages);
    PathSearch search(space);
    best.stages = search_space(search, sooner).stages;
    best.objective = times_.of(best.stages);
    return best;
  }

  // ---- Balanced

  // How busy the busiest device or link of plans on `num_devices` devices is.
  StageTimes busyness(std::size_t num_devices) const {
    return StageTimes(problem_, Objective::Throughput, rows_per_step(problem_, num_devices));
  }

  // First the least bottleneck that any number of devices reaches in time, then the soonest of the plans with
  // it.
  SearchOutcome balanced() {
    SearchOutcome best = least_latency();
    if (!best.found()) return best;
    bool complete = best.complete;
    const double limit = best.objective * (1 + problem_.latency_slack) * (1 + kClearly);
    double bottleneck = busyness(num_distinct_devices(best.stages)).plan(best.stages);
    const std::uint32_t fewest = std::max(1u, problem_.min_stages);
    const auto most = std::min(most_devices(), static_cast<std::uint32_t>(candidates_.size()));
    for (std::uint32_t n = fewest; n <= most; ++n)
      complete = level_out(n, limit, best, bottleneck) && complete;
    best.objective = times_.of(best.stages);
    for (std::uint32_t n = fewest; n <= most; ++n) {
      const SearchOutcome sooner = soonest(n, busyness(n), bottleneck * (1 + kClearly), best);
      complete = complete && sooner.complete;
      if (sooner.objective < best.objective * (1 - kClearly)) best = sooner;
    }
    best.complete = complete;
    return best;
  }

  // Lowers `bottleneck` as far as plans on n devices reach it within `limit`, with `best` such a plan: halves
  // what is between it and the bound, then goes on in steps until a search finds none. False if a search was
  // cut off.
  bool level_out(std::uint32_t n, double limit, SearchOutcome& best, double& bottleneck) {
    const StageTimes busy = busyness(n);
    double bound = bound_of_all(busy, n);
    bool complete = true;
    bool is_better = false;  // than other numbers of devices: only then is halving worth it
    while (bound <= bottleneck * (1 - kClearly)) {
      const double just_below = bottleneck * (1 - kClearly);
      const bool halves = is_better && bottleneck - bound > kNarrow * bottleneck;
      const double ceiling = halves ? (bound + bottleneck) / 2 : just_below;
      SearchOutcome in_time = best;
      in_time.objective = limit;
      SearchOutcome found = soonest(n, busy, ceiling, in_time);
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

  // The plan of least latency on n devices with no bottleneck above `ceiling`; `in_time` where none is
  // sooner.
  SearchOutcome soonest(std::uint32_t n, const StageTimes& busy, double ceiling,
                        const SearchOutcome& in_time) {
    SearchSpace space(problem_, memory_, times_.for_devices(1), candidates_, {&busy, ceiling});
    space.min_devices = std::max(1u, problem_.min_stages);
    space.exact_devices = n;
    PathSearch search(space);
    SearchOutcome first = search.run({kBeamWidth, kExactLabels}, in_time);
    if (first.complete || !is_small()) return first;
    return search.run({.max_labels = kLevelLabels}, first);
  }

  const PlanProblem& problem_;
  PlacementRules rules_;
  UnitMemory memory_;
  ObjectiveTimes times_;
  std::vector<std::uint32_t> usable_;
  std::vector<std::uint32_t> candidates_;
  double lower_bound_ = 0;
};

// The search found nothing. What stands in the way is the first demand without which there is a plan.
Error why_none(const PlanProblem& problem, bool proven) {
  PlanProblem free = problem;
  const auto helps = [&] { return Planner(free).search().found(); };
  free.min_stages = 1;
  if (problem.min_stages > 1 && helps()) return obstacle_error(problem, Obstacle::MinStages, proven, kNever);
  for (std::vector<LinkProfile>& row : free.links) {
    for (LinkProfile& link : row) link.closed = false;
  }
  for (LinkProfile& link : free.from_hub) link.closed = false;
  for (LinkProfile& link : free.to_hub) link.closed = false;
  if (helps()) return obstacle_error(problem, Obstacle::Links, proven, kNever);
  free.pins.clear();
  for (DeviceProfile& device : free.devices) device.bans.clear();
  if (helps()) return obstacle_error(problem, Obstacle::Pins, proven, kNever);
  return no_split_error(problem, proven);
}

}  // namespace

Result<Plan> make_plan(const PlanProblem& problem) {
  if (Status checked = check_problem(problem); !checked) return fail(checked.error());
  if (Status checked = check_feasible(problem); !checked) return fail(checked.error());
  Planner planner(problem);
  SearchOutcome found = planner.search();
  if (!found.found()) return fail(why_none(problem, found.complete));
  Result<Prediction> prediction = predict(problem, found.stages);
  if (!prediction) return fail(prediction.error());
  Plan plan;
  plan.stages = std::move(found.stages);
  plan.prediction = *std::move(prediction);
  plan.optimal = found.complete;
  plan.lower_bound = planner.lower_bound();
  return plan;
}

}  // namespace shoal
