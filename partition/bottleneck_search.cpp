#include "partition/bottleneck_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optional>

#include "partition/balanced_search.h"
#include "partition/busy_bound.h"
#include "partition/device_prices.h"
#include "partition/order_search.h"
#include "partition/reach_search.h"
#include "partition/uniform_search.h"

namespace shoal {
namespace {

constexpr std::size_t kNarrowBeam = 48;
constexpr double kRounding = 1e-12;
constexpr double kClearly = 1e-9;
constexpr double kNear = 2e-3;  // relative: where a search that proves nothing stops to halve
constexpr Effort kForTies{
    .try_labels = 50'000, .price_work = 5'000'000, .order_work = 5'000'000, .uniform_search = false};
constexpr Effort kForFits{.exact_labels = 1'000'000,
                          .try_labels = 0,
                          .price_work = 8'000'000,
                          .order_work = 3'000'000,
                          .uniform_search = false,
                          .first_found = true};
constexpr Effort kForFirst{.exact_labels = 1'000'000, .uniform_search = false, .first_found = true};
constexpr std::uint64_t kPriceWork = 8'000'000;
constexpr int kProofs = 8;
constexpr int kMostLooks = 12;   // below a ceiling, where no search is exact,
constexpr int kMostProofs = 16;  // and at whether prices forbid it

class BottleneckSearch {
 public:
  BottleneckSearch(const PlanProblem& problem, const ProblemTables& tables,
                   const std::vector<std::uint32_t>& devices)
      : problem_(problem),
        tables_(tables),
        devices_(devices),
        one_row_(problem, Objective::Latency, 1.0),
        is_uniform_(devices.size() <= kExactUniformDevices && has_uniform_layers(problem)) {}

  SearchOutcome run(bool breaks_ties) {
    bool complete = true;
    double bound = kNever;
    for (const Number& number : numbers()) complete = search(number, bound) && complete;
    if (!complete && is_uniform_) complete = search_uniform();
    best_.complete = complete;
    best_.lower_bound = complete ? best_.objective : std::min(bound, best_.objective);
    if (best_.found() && breaks_ties) break_ties();
    return std::move(best_);
  }

 private:
  // A number of devices (0: any), and what counting shows that plans on it take at least.
  struct Number {
    std::uint32_t devices = 0;
    double least = 0;
  };

  // The most promising first.
  std::vector<Number> numbers() const {
    std::vector<Number> all;
    const bool any = problem_.rows_per_step > 0;
    const auto most = static_cast<std::uint32_t>(std::min(devices_.size(), problem_.units.size()));
    for (std::uint32_t n = any ? 0 : std::max(1u, problem_.min_stages); n <= (any ? 0 : most); ++n)
      all.push_back({n, least_busy(space_of(busyness(problem_, std::max(1u, n)), n))});
    std::stable_sort(all.begin(), all.end(),
                     [](const Number& a, const Number& b) { return a.least < b.least; });
    return all;
  }

  // False if it was not searched in full; `bound` is lowered to what plans on this number take at least.
  bool search(const Number& number, double& bound) {
    const std::uint32_t n = number.devices;
    if (number.least >= best_.objective * (1 - kRounding)) return true;
    const StageTimes times = busyness(problem_, std::max(1u, n));
    if (ReachSearch::serves(under(times, n, kNever)) && fewer_are_not_busier(n)) {
      bisect(times, number, [&](double ceiling) { return reach(times, n, ceiling); });
      return true;
    }
    if (devices_.size() <= kExactUniformDevices && search_directly(times, n)) return true;
    double proven = number.least;
    if (!is_uniform_) proven = bisect(times, number, [&](double ceiling) { return fit(times, n, ceiling); });
    bound = std::min(bound, proven);
    return proven >= best_.objective * (1 - kRounding);
  }

  // Where a step's rows follow from the number of devices, plans with fewer must not be judged too well: more
  // rows a step must not cost more per row.
  bool fewer_are_not_busier(std::uint32_t n) const {
    if (n == 0) return true;
    for (const std::uint32_t v : devices_) {
      for (const UnitCost& cost : problem_.devices[v].units) {
        if (cost.batch32 > 32 * cost.decode) return false;
      }
    }
    return true;
  }

  SearchSpace space_of(const StageTimes& times, std::uint32_t n) const { return limited(times, {}, n); }
  SearchSpace under(const StageTimes& times, std::uint32_t n, double ceiling) const {
    return limited(one_row_, {&times, ceiling}, n);
  }
  SearchSpace limited(const StageTimes& times, Ceiling ceiling, std::uint32_t n) const {
    SearchSpace space(problem_, tables_, times, devices_, ceiling);
    space.min_devices = std::max(1u, problem_.min_stages);
    space.exact_devices = n;
    return space;
  }

  // What a look at plans below a ceiling brought.
  enum class Answer { Found, None, Unknown };

  // Halves what lies between the bound and the best plan. Returns what was proven in the end.
  double bisect(const StageTimes& times, const Number& number, const std::function<Answer(double)>& ask) {
    const std::uint32_t n = number.devices;
    const Answer first = ask(best_.found() ? best_.objective * (1 - kClearly) : kNever);
    if (first == Answer::None) return best_.found() ? best_.objective : kNever;
    const SearchSpace space = space_of(times, n);
    if (first == Answer::Unknown) return raise_proof(space, times, n, number.least, best_.objective);
    double proven = number.least;
    double doubtful = number.least;  // below, a plan was looked for in vain
    double unproven = kNever;
    while (doubtful < best_.objective * (1 - kRounding)) {
      if (doubtful > proven && best_.objective - doubtful < kNear * best_.objective) break;
      double ceiling = doubtful + (best_.objective - doubtful) / 2;
      if (ceiling >= best_.objective * (1 - kRounding)) ceiling = doubtful;
      const Answer answer = ask(ceiling);
      if (answer == Answer::Found) continue;
      doubtful = next_busy(space, ceiling);
      if (answer == Answer::None) proven = doubtful;
      if (answer == Answer::Unknown) unproven = std::min(unproven, ceiling);
    }
    return raise_proof(space, times, n, std::min(proven, best_.objective), unproven);
  }

  // A proof that failed at a ceiling may succeed lower.
  double raise_proof(const SearchSpace& space, const StageTimes& times, std::uint32_t n, double proven,
                     double unproven) {
    for (int i = 0;
         i < kProofs && proofs_left_ > 0 && unproven < kNever && unproven - proven > kNear * unproven; ++i) {
      const double ceiling = proven + (unproven - proven) / 2;
      if (is_forbidden(under(times, n, ceiling)))
        proven = next_busy(space, ceiling);
      else
        unproven = ceiling;
    }
    return std::min(proven, best_.objective);
  }

  Answer keep(const StageTimes& times, std::vector<PlannedStage> stages) {
    SearchOutcome found;
    found.objective = times_of(times, stages);
    found.stages = std::move(stages);
    if (found.objective >= best_.objective) return Answer::Unknown;
    best_ = std::move(found);
    return Answer::Found;
  }

  // With the rows that go with the plan's own number of devices.
  double times_of(const StageTimes& times, const std::vector<PlannedStage>& stages) const {
    if (problem_.rows_per_step > 0) return times.plan(stages);
    return busyness(problem_, num_distinct_devices(stages)).plan(stages);
  }

  Answer reach(const StageTimes& times, std::uint32_t n, double ceiling) {
    std::optional<std::vector<PlannedStage>> found = ReachSearch(under(times, n, ceiling)).find();
    return found ? keep(times, *std::move(found)) : Answer::None;
  }

  bool is_forbidden(const SearchSpace& space) {
    return proofs_left_-- > 0 && prices_forbid(problem_, space, kPriceWork);
  }

  Answer fit(const StageTimes& times, std::uint32_t n, double ceiling) {
    const SearchSpace space = under(times, n, ceiling);
    if (is_forbidden(space)) return Answer::None;
    if (looks_left_-- <= 0) return Answer::Unknown;
    const SearchOutcome found = soonest_plan(space, {}, best_.found() ? kForFits : kForFirst);
    if (found.found()) return keep(times, found.stages);
    return found.complete ? Answer::None : Answer::Unknown;
  }

  // The least largest time itself as the objective. True if the search was complete.
  bool search_directly(const StageTimes& times, std::uint32_t n) {
    const SearchSpace space = space_of(times, n);
    PathSearch search(space);
    const Effort effort;
    if (take(search.run({kNarrowBeam, effort.exact_labels}, best_))) return true;
    const bool is_small = devices_.size() <= kExactDevices;
    if (!is_small && is_uniform_) return false;  // all numbers at once, afterwards
    return take(search.run({.max_labels = is_small ? effort.exact_labels : effort.try_labels}, best_));
  }

  bool take(SearchOutcome found) {
    best_ = std::move(found);
    return best_.complete;
  }

  bool search_uniform() {
    const auto most = static_cast<std::uint32_t>(devices_.size());
    std::vector<StageTimes> times;
    std::vector<SearchSpace> spaces;
    for (std::uint32_t n = 1; n <= most; ++n) times.push_back(busyness(problem_, n));
    for (std::uint32_t n = 1; n <= most; ++n) spaces.push_back(space_of(times[n - 1], n));
    std::vector<const SearchSpace*> by_number(1, nullptr);
    for (const SearchSpace& space : spaces) by_number.push_back(&space);
    return take(uniform_search(by_number, best_));
  }

  // Among plans that are no busier, the soonest. Where the rows follow from the number of devices, all
  // numbers are looked at only if there are few.
  void break_ties() {
    const auto count = static_cast<std::uint32_t>(num_distinct_devices(best_.stages));
    const StageTimes times = busyness(problem_, count);
    const double ceiling = times.plan(best_.stages) * (1 + kRounding);
    SearchOutcome sooner;
    sooner.stages = best_.stages;
    sooner.objective = one_row_.plan(best_.stages);
    if (problem_.rows_per_step > 0 || devices_.size() > kExactDevices) {
      sooner = soonest_plan(under(times, problem_.rows_per_step > 0 ? 0 : count, ceiling), sooner, kForTies);
    } else {
      sooner = soonest_within(problem_, tables_, devices_, ceiling, sooner);
    }
    best_.stages = std::move(sooner.stages);
    best_.objective = times_of(times, best_.stages);
    best_.lower_bound = best_.complete ? best_.objective : std::min(best_.lower_bound, best_.objective);
  }

  const PlanProblem& problem_;
  const ProblemTables& tables_;
  const std::vector<std::uint32_t>& devices_;
  StageTimes one_row_;
  int looks_left_ = kMostLooks;
  int proofs_left_ = kMostProofs;
  bool is_uniform_;  // few enough, and alike, to be searched in full so
  SearchOutcome best_;
};

}  // namespace

SearchOutcome least_bottleneck(const PlanProblem& problem, const ProblemTables& tables,
                               const std::vector<std::uint32_t>& devices, bool breaks_ties) {
  return BottleneckSearch(problem, tables, devices).run(breaks_ties);
}

}  // namespace shoal
