#include "partition/pipelines.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/checked_math.h"
#include "partition/bottleneck_search.h"
#include "partition/busy_bound.h"
#include "partition/planner.h"

namespace shoal {
namespace {

using Group = std::vector<std::uint32_t>;  // devices

constexpr std::size_t kPlannedInFull = 3;  // numbers of pipelines
constexpr int kCountedExchanges = 4'000;   // looked at, for each of them
constexpr int kFirstExchanges = 200;
constexpr int kPlannedExchanges = 60;
constexpr std::uint32_t kEveryNumber = 40;
constexpr int kWeightRounds = 150;
constexpr double kFirstStep = 0.5, kShorter = 0.97;
constexpr double kLeastSeconds = 1e-12;
constexpr double kClearly = 1e-9;

// One problem's devices dealt to a given number of pipelines.
class Deal {
 public:
  Deal(const PlanProblem& problem, std::uint32_t num_pipelines)
      : problem_(shared_out(problem, num_pipelines)),
        all_streams_(std::max(1u, problem.num_streams)),
        tables_(problem_),
        one_row_(problem_, Objective::Latency, 1.0),
        groups_(num_pipelines) {}

  // By speed and by memory, and keeps what counting finds better.
  void deal() {
    std::vector<double> speed, room;
    const Group devices = usable_devices(problem_, tables_);
    for (const std::uint32_t v : devices) {
      speed.push_back(1 / seconds_of_all(v));
      room.push_back(static_cast<double>(room_of(problem_, v)));
    }
    deal_by(room, devices);
    const std::vector<Group> by_room = groups_;
    const double rate_by_room = rate();
    deal_by(speed, devices);
    if (rate_by_room <= rate()) return;
    groups_ = by_room;
    count();
  }

  double rate() const { return std::accumulate(rates_.begin(), rates_.end(), 0.0); }

  // Moves a device to another group, or exchanges two, while that helps, as counting tells.
  void exchange_by_counting(int looks) {
    exchange([this](const Group& group, std::size_t g) { return counted_rate(group, g); }, looks);
  }
  // The same, as plans tell.
  void exchange_by_planning(int looks) {
    for (std::size_t g = 0; g < groups_.size(); ++g) rates_[g] = planned_rate(groups_[g], g);
    exchange([this](const Group& group, std::size_t g) { return planned_rate(group, g); }, looks);
  }

  // The plans of all groups that can be planned.
  Result<Pipelines> plan() const {
    Pipelines pipelines;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      const PlanProblem own = problem_of(g);
      const SearchOutcome found = least_bottleneck(own, tables_, sorted(groups_[g]));
      if (!found.found()) continue;
      Result<Prediction> prediction = predict(own, found.stages);
      if (!prediction) return fail(prediction.error());
      Plan plan;
      plan.stages = found.stages;
      plan.prediction = *std::move(prediction);
      plan.optimal = found.complete;
      plan.lower_bound = found.lower_bound;
      pipelines.tokens_per_second += 1 / std::max(plan.prediction.bottleneck_seconds, kLeastSeconds);
      pipelines.plans.push_back(std::move(plan));
    }
    return pipelines;
  }

 private:
  static PlanProblem shared_out(const PlanProblem& problem, std::uint32_t num_pipelines) {
    PlanProblem share = problem;
    share.objective = Objective::Throughput;
    share.num_sequences = (problem.num_sequences + num_pipelines - 1) / num_pipelines;
    return share;
  }

  static Group sorted(Group group) {
    std::sort(group.begin(), group.end());
    return group;
  }

  // The first pipelines get one stream more where they do not share out evenly.
  std::uint32_t streams_of(std::size_t g) const {
    const auto count = static_cast<std::uint32_t>(groups_.size());
    return std::max(1u, all_streams_ / count + (g < all_streams_ % count ? 1 : 0));
  }

  PlanProblem problem_of(std::size_t g) const {
    PlanProblem own = problem_;
    own.num_streams = streams_of(g);
    return own;
  }

  double seconds_of_all(std::uint32_t v) const {
    return std::max(one_row_.stage(v, 0, static_cast<std::uint32_t>(problem_.units.size())), kLeastSeconds);
  }

  // Each device, the greatest first, to the group that has least so far.
  void deal_by(const std::vector<double>& worth, const Group& devices) {
    std::vector<std::size_t> order(devices.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return worth[a] > worth[b]; });
    std::vector<double> has(groups_.size(), 0.0);
    for (Group& group : groups_) group.clear();
    for (const std::size_t i : order) {
      const auto poorest = static_cast<std::size_t>(std::min_element(has.begin(), has.end()) - has.begin());
      groups_[poorest].push_back(devices[i]);
      has[poorest] += worth[i];
    }
    count();
  }

  void count() {
    rates_.clear();
    for (std::size_t g = 0; g < groups_.size(); ++g) rates_.push_back(counted_rate(groups_[g], g));
  }

  // Tokens per second if links took no time; 0 if the group cannot hold the model.
  double counted_rate(const Group& group, std::size_t g) const {
    if (group.empty()) return 0;
    double rows = problem_.rows_per_step;
    if (rows <= 0) rows = static_cast<double>(streams_of(g)) / static_cast<double>(group.size());
    const StageTimes times(problem_, Objective::Throughput, rows);
    const double least = least_busy(SearchSpace(problem_, tables_, times, sorted(group)));
    return least == kNever ? 0 : 1 / std::max(least, kLeastSeconds);
  }

  double planned_rate(const Group& group, std::size_t g) const {
    if (group.empty() || counted_rate(group, g) == 0) return 0;
    const SearchOutcome found =
        least_bottleneck(problem_of(g), tables_, sorted(group), /*breaks_ties=*/false);
    return found.found() ? 1 / std::max(found.objective, kLeastSeconds) : 0;
  }

  template <typename RateOf>
  void exchange(const RateOf& rate_of, int looks) {
    bool helped = true;
    while (helped && looks > 0) {
      helped = false;
      for (std::size_t g = 0; g < groups_.size() && looks > 0; ++g) {
        for (std::size_t h = 0; h < groups_.size() && looks > 0; ++h) {
          if (g != h) helped = exchange_between(g, h, rate_of, looks) || helped;
        }
      }
    }
  }

  // The first change between two groups by which both together do more.
  template <typename RateOf>
  bool exchange_between(std::size_t g, std::size_t h, const RateOf& rate_of, int& looks) {
    for (std::size_t i = 0; i < groups_[g].size(); ++i) {
      for (std::size_t j = 0; j <= groups_[h].size() && looks > 0; ++j) {
        --looks;
        Group from = groups_[g], to = groups_[h];
        if (j < to.size()) {
          std::swap(from[i], to[j]);
        } else {
          to.push_back(from[i]);
          from.erase(from.begin() + static_cast<std::ptrdiff_t>(i));
        }
        const double rate_g = rate_of(from, g), rate_h = rate_of(to, h);
        if (rate_g + rate_h <= (rates_[g] + rates_[h]) * (1 + kClearly)) continue;
        groups_[g] = std::move(from), groups_[h] = std::move(to);
        rates_[g] = rate_g, rates_[h] = rate_h;
        return true;
      }
    }
    return false;
  }

  PlanProblem problem_;
  std::uint32_t all_streams_;
  ProblemTables tables_;
  StageTimes one_row_;
  std::vector<Group> groups_;
  std::vector<double> rates_;
};

// What every device could do of the most wanted units, whatever the others do. A stage's time per row changes
// in one direction with the rows of a step, so the fewest and the most that any pipeline may have show the
// least time.
class RateBound {
 public:
  explicit RateBound(const PlanProblem& problem)
      : tables_(problem),
        fewest_rows_(problem, Objective::Throughput, problem.rows_per_step > 0 ? problem.rows_per_step : 1.0),
        most_rows_(problem, Objective::Throughput, most_rows(problem)),
        space_(problem, tables_, most_rows_, usable_devices(problem, tables_)),
        weights_(problem.units.size(), 1.0 / static_cast<double>(problem.units.size())) {}

  double find() {
    double best = kNever;
    double step = kFirstStep;
    for (int round = 0; round < kWeightRounds; ++round) {
      std::vector<double> served(weights_.size(), 0.0);
      const double rate = serve(served);
      if (rate >= best) step *= kShorter;
      best = std::min(best, rate);
      for (std::size_t u = 0; u < weights_.size(); ++u)
        weights_[u] *= std::exp(-step * (served[u] / std::max(rate, kLeastSeconds) - 1));
      const double sum = std::accumulate(weights_.begin(), weights_.end(), 0.0);
      for (double& weight : weights_) weight /= sum;
    }
    return best;
  }

 private:
  static double most_rows(const PlanProblem& problem) {
    if (problem.rows_per_step > 0) return problem.rows_per_step;
    return std::max(1.0, static_cast<double>(problem.num_streams));
  }

  double seconds(std::uint32_t v, Range units) const {
    const std::uint32_t device = space_.device(v);
    const double least = std::min(fewest_rows_.stage(device, units.begin, units.end),
                                  most_rows_.stage(device, units.begin, units.end));
    return std::max(least, kLeastSeconds);
  }

  // The sum of what devices do at best, and how often per second each unit is run then.
  double serve(std::vector<double>& served) const {
    std::vector<double> sums(1, 0.0);
    for (const double weight : weights_) sums.push_back(sums.back() + weight);
    double total = 0;
    for (std::uint32_t v = 0; v < space_.num_devices(); ++v) {
      double best = 0;
      Range units;
      for (std::uint32_t begin = 0; begin < space_.num_units(); ++begin) {
        for (std::uint32_t end = begin + 1; end <= space_.reach(v, begin); ++end) {
          const double rate = (sums[end] - sums[begin]) / seconds(v, {begin, end});
          if (rate > best) best = rate, units = {begin, end};
        }
      }
      total += best;
      for (std::uint32_t u = units.begin; u < units.end; ++u) served[u] += 1 / seconds(v, units);
    }
    return total;
  }

  ProblemTables tables_;
  StageTimes fewest_rows_;
  StageTimes most_rows_;
  SearchSpace space_;
  std::vector<double> weights_;
};

// As many as could hold the weights if memory could be cut anywhere; 1 at least.
std::uint32_t most_that_fit(const PlanProblem& problem) {
  const Range all{0, static_cast<std::uint32_t>(problem.units.size())};
  const std::uint64_t weights = std::max<std::uint64_t>(1, memory_need(problem, 0, {&all, 1}).weights);
  std::uint64_t able = 0, room = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    able += room_of(problem, v) > 0 ? 1 : 0;
    room = checked_add(room, room_of(problem, v)).value_or(~std::uint64_t{0});
  }
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, std::min(able, room / weights)));
}

// Every number up to kEveryNumber, then in steps of a tenth.
std::vector<std::uint32_t> numbers_to_try(std::uint32_t most) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t n = 2; n <= most; n += n < kEveryNumber ? 1 : n / 10) numbers.push_back(n);
  return numbers;
}

// The best of several pipelines, better than `best`; else `best`.
Pipelines best_of_several(const PlanProblem& problem, std::uint32_t most, Pipelines best) {
  std::vector<std::pair<double, std::uint32_t>> promising;
  for (const std::uint32_t n : numbers_to_try(most)) {
    Deal deal(problem, n);
    deal.deal();
    deal.exchange_by_counting(kFirstExchanges);
    if (deal.rate() > 0) promising.emplace_back(-deal.rate(), n);
  }
  std::sort(promising.begin(), promising.end());
  for (std::size_t i = 0; i < std::min(promising.size(), kPlannedInFull); ++i) {
    Deal deal(problem, promising[i].second);
    deal.deal();
    deal.exchange_by_counting(kCountedExchanges);
    deal.exchange_by_planning(kPlannedExchanges);
    Result<Pipelines> planned = deal.plan();
    if (planned && planned->tokens_per_second > best.tokens_per_second * (1 + kClearly))
      best = *std::move(planned);
  }
  return best;
}

}  // namespace

Result<Pipelines> make_pipelines(const PlanProblem& problem, std::uint32_t most_pipelines) {
  PlanProblem one = problem;
  one.objective = Objective::Throughput;
  const Result<Plan> single = make_plan(one);
  if (!single && single.error().code() != ErrorCode::OutOfMemory) return fail(single.error());
  Pipelines best;
  if (single) best = {{*single}, 1 / std::max(single->prediction.bottleneck_seconds, kLeastSeconds), 0};
  const std::uint32_t most = most_that_fit(problem);
  best =
      best_of_several(problem, most_pipelines == 0 ? most : std::min(most, most_pipelines), std::move(best));
  if (best.plans.empty()) return fail(single.error());  // KV for all sequences fits in no number of pipelines
  one.num_sequences = 1;                                // as little KV as a pipeline can have
  best.upper_bound = std::max(RateBound(one).find(), best.tokens_per_second);
  return best;
}

}  // namespace shoal
