#include "partition/device_prices.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "partition/priced_walk.h"

namespace shoal {
namespace {

constexpr int kMostRounds = 250;
constexpr int kPatience = 8;         // rounds without a higher bound before the steps get smaller
constexpr double kFirstStep = 1.0;   // as a part of what is missing to the target
constexpr double kLeastStep = 2e-3;  // from here on the bound has stopped rising
constexpr double kMemory = 0.6;      // how much of the last direction goes into the next
constexpr int kMostLooks = 6;        // at all rings
constexpr std::size_t kActiveRings = 3;
// Looking at each ring by itself may cost so many stages and hops; else all families are bounded together.
constexpr std::int64_t kMostRingWork = 40'000'000;

std::vector<PlanFamily> families_of(const SearchSpace& space) {
  std::vector<PlanFamily> families{{PlanFamily::Open}};
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
    if (space.may_close_ring(v)) families.push_back({PlanFamily::Ring, v, 1});
  }
  if (static_cast<std::int64_t>(families.size()) * work_of_a_walk(space) <= kMostRingWork) return families;
  return {{PlanFamily::Either}};
}

// Raises the prices against plans that do not close the ring and against those rings that came out cheapest
// when all were last looked at.
class PriceAscent {
 public:
  PriceAscent(const SearchSpace& space, double target, DevicePrices prices, std::uint64_t work)
      : space_(space),
        target_(target),
        work_left_(static_cast<std::int64_t>(std::min<std::uint64_t>(work, 1u << 31))),
        ring_work_(std::min(kMostRingWork, 2 * work_left_)),
        work_of_a_walk_(work_of_a_walk(space)),
        prices_(std::move(prices)) {
    prices_.resize(space.num_devices(), 0.0);
    for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
      if (space.may_close_ring(v)) closers_.push_back(v);
    }
    if (closers_.size() <= kActiveRings) active_ = closers_;
    best_.lower_bound = -kNever;
  }

  PricedBound run() {
    for (int look = 0; look < kMostLooks; ++look) {
      const double hoped = climb();
      look_at_all();
      const bool rings_matter = best_.lower_bound < std::min(hoped, target_) * (1 - 1e-6);
      if (!rings_matter || closers_.size() <= kActiveRings || work_left_ < of_all_rings()) break;
    }
    find_through();
    return std::move(best_);
  }

 private:
  std::int64_t of_all_rings() const { return static_cast<std::int64_t>(closers_.size()) * work_of_a_walk_; }

  // The highest value found for what is looked at; its prices are the current ones.
  double climb() {
    DevicePrices best_prices = prices_;
    double best = -kNever;
    std::vector<double> direction(prices_.size(), 0.0);
    double step = kFirstStep;
    int stalled = 0;
    for (int round = 0; round < kMostRounds && step > kLeastStep; ++round) {
      const Walk walk = cheapest_walk();
      if (walk.value > best) {
        if (walk.value > best + 1e-4 * std::abs(walk.value)) stalled = 0;
        best = walk.value;
        best_prices = prices_;
      }
      if (walk.value == kNever || best >= target_ || work_left_ < 0) break;
      if (++stalled > kPatience) {
        step /= 2;
        stalled = 0;
        prices_ = best_prices;
        std::fill(direction.begin(), direction.end(), 0.0);
      } else if (!change_prices(step, best, walk, direction)) {
        break;
      }
    }
    prices_ = std::move(best_prices);
    return best;
  }

  Walk walk_of(PlanFamily family) {
    work_left_ -= work_of_a_walk_;
    return shoal::cheapest_walk(space_, family, prices_);
  }

  Walk cheapest_walk() {
    Walk cheapest = walk_of({PlanFamily::Open});
    for (const std::uint32_t v : active_) {
      Walk ring = walk_of({PlanFamily::Ring, v, 1});
      if (ring.value < cheapest.value) cheapest = std::move(ring);
    }
    return cheapest;
  }

  // What the current prices prove, and which rings stand in the way of more.
  void look_at_all() {
    double value = walk_of({PlanFamily::Open}).value;
    std::vector<std::pair<double, std::uint32_t>> rings;
    if (of_all_rings() > ring_work_) {
      value = std::min(value, walk_of({PlanFamily::Either}).value);
    } else {
      for (const std::uint32_t v : closers_) rings.emplace_back(walk_of({PlanFamily::Ring, v, 1}).value, v);
    }
    std::sort(rings.begin(), rings.end());
    if (!rings.empty()) value = std::min(value, rings.front().first);
    for (std::size_t i = 0; i < std::min(rings.size(), kActiveRings); ++i) {
      if (std::find(active_.begin(), active_.end(), rings[i].second) == active_.end())
        active_.push_back(rings[i].second);
    }
    if (active_.size() > 3 * kActiveRings)
      active_.erase(active_.begin(), active_.end() - 3 * static_cast<std::ptrdiff_t>(kActiveRings));
    if (value <= best_.lower_bound) return;
    best_.lower_bound = value;
    best_.prices = prices_;
    rings_ = std::move(rings);
  }

  // False if no price wants to change: the walk is a plan, and the bound its time.
  bool change_prices(double step, double best, const Walk& walk, std::vector<double>& direction) {
    double length = 0;
    for (std::size_t v = 0; v < prices_.size(); ++v) {
      double wanted = walk.uses[v] - 1.0;
      if (prices_[v] <= 0 && wanted < 0) wanted = 0;
      direction[v] = wanted + kMemory * direction[v];
      if (prices_[v] <= 0 && direction[v] < 0) direction[v] = 0;
      length += direction[v] * direction[v];
    }
    if (length <= 1e-18) return false;
    const double goal = target_ < kNever ? target_ : std::max(1.1 * best, best + 1e-12);
    const double factor = step * std::max(goal - walk.value, 1e-9 * std::abs(goal)) / length;
    for (std::size_t v = 0; v < prices_.size(); ++v)
      prices_[v] = std::max(0.0, prices_[v] + factor * direction[v]);
    return true;
  }

  // Rings that take longer than the target at these prices need no closer look.
  void find_through() {
    best_.through.assign(space_.num_devices(), kNever);
    if (best_.prices.empty()) best_.prices = prices_;
    std::vector<PlanFamily> families{{PlanFamily::Open}};
    for (const auto& [value, v] : rings_) {
      if (value <= target_)
        families.push_back({PlanFamily::Ring, v, 1});
      else
        best_.through[v] = std::min(best_.through[v], value);
    }
    const bool too_many = static_cast<std::int64_t>(families.size()) * 2 * work_of_a_walk_ > kMostRingWork;
    if (too_many || (rings_.empty() && !closers_.empty())) families = {{PlanFamily::Either}};
    double least_ring = kNever;
    for (const auto& [value, v] : rings_)
      least_ring = value > target_ ? std::min(least_ring, value) : least_ring;
    for (const PlanFamily& family : families) family_bound(space_, family, best_.prices, best_.through);
    for (double& through : best_.through) through = std::min(through, least_ring);
  }

  const SearchSpace& space_;
  double target_;
  std::int64_t work_left_;
  std::int64_t ring_work_;  // that a look at all rings may cost
  std::int64_t work_of_a_walk_;
  DevicePrices prices_;
  std::vector<std::uint32_t> closers_;
  std::vector<std::uint32_t> active_;
  std::vector<std::pair<double, std::uint32_t>> rings_;  // of all closers at the best prices, cheapest first
  PricedBound best_;
};

// Of plans that device v begins and ends.
double bound_of_ring(const SearchSpace& space, const DevicePrices& prices, std::uint32_t v,
                     std::uint32_t further) {
  const CompletionBound bound(space, {PlanFamily::Ring, v, 1}, prices);
  double least = kNever;
  for (std::uint32_t prefix = 1; prefix <= space.reach(v, 0) && prefix < space.num_units(); ++prefix) {
    const double start = space.entry(v) + space.stage(v, 0, prefix) + bound.price(v);
    least = std::min(least, start + bound.after(further, prefix, v));
  }
  return least - std::accumulate(prices.begin(), prices.end(), 0.0);
}

SearchSpace with_any_number(const SearchSpace& space) {
  SearchSpace any_number = space;
  any_number.min_devices = 1;
  any_number.exact_devices = 0;
  return any_number;
}

}  // namespace

PricedBound raise_prices(const SearchSpace& space, double target, std::uint64_t work,
                         const DevicePrices& first_prices) {
  SHOAL_CHECK(space.times().sums());
  const SearchSpace any_number = with_any_number(space);
  return PriceAscent(any_number, target, first_prices, work).run();
}

// Where all else is free, a walk pays nothing but prices; if even the cheapest walk pays more than every
// device's price once, no plan exists. The first try is counting: a device's price is the share of the units
// it can run.
bool prices_forbid(const PlanProblem& problem, const SearchSpace& space, std::uint64_t work) {
  const StageTimes nothing = StageTimes::nothing(problem);
  SearchSpace free(problem, space.tables(), nothing, space.devices(), space.ceiling());
  DevicePrices shares;
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
    std::uint32_t most = 0;
    for (std::uint32_t begin = 0; begin < space.num_units(); ++begin)
      most = std::max(most, space.reach(v, begin) - begin);
    shares.push_back(static_cast<double>(most) / space.num_units());
  }
  const PricedBound found = raise_prices(free, 1.0, work, shares);
  return found.lower_bound > 1e-9 * (1 + std::accumulate(found.prices.begin(), found.prices.end(), 0.0));
}

double bound_at_prices(const SearchSpace& space, const DevicePrices& prices) {
  const std::uint32_t wanted = space.exact_devices > 0 ? space.exact_devices : space.min_devices;
  double least = kNever;
  for (const PlanFamily& family : families_of(space)) {
    double bound = 0;
    if (family.kind == PlanFamily::Ring) {
      bound = bound_of_ring(space, prices, family.closing_device, wanted - 1);
    } else if (family.kind == PlanFamily::Open) {
      bound = CompletionBound(space, family, prices).at_start(wanted);
    } else {
      bound = CompletionBound(with_any_number(space), family, prices).at_start(1);
    }
    least = std::min(least, bound);
  }
  return least;
}

}  // namespace shoal
