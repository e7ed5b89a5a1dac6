#include "partition/priced_walk.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace shoal {
namespace {

constexpr std::int64_t kHopsLookedAt = 16;  // on average, from a device at a unit

// Walks through `bound` once more to see which devices the cheapest walk uses.
class WalkTrace {
 public:
  WalkTrace(const SearchSpace& space, const CompletionBound& bound, PlanFamily family)
      : space_(space), bound_(bound), family_(family) {
    walk_.uses.assign(space.num_devices(), 0);
  }

  Walk run(double all_prices) {
    double value = family_.kind == PlanFamily::Ring ? start_ring() : start();
    walk_.value = value == kNever ? kNever : value - all_prices;
    while (value < kNever && next_ < space_.num_units() && go_on()) {
    }
    return std::move(walk_);
  }

 private:
  double start() {
    double value = kNever;
    for (std::uint32_t v = 0; v < space_.num_devices(); ++v) {
      const double cost = space_.entry(v) + bound_.best_stage(0, 0, v).cost;
      if (cost < value) value = cost, last_ = v;
    }
    if (value < kNever) take(0, last_);
    return value;
  }

  double start_ring() {
    double value = kNever;
    last_ = family_.closing_device;
    for (std::uint32_t prefix = 1; prefix <= space_.reach(last_, 0) && prefix < space_.num_units();
         ++prefix) {
      const double first = space_.entry(last_) + space_.stage(last_, 0, prefix) + bound_.price(last_);
      if (first + bound_.after(0, prefix, last_) < value)
        value = first + bound_.after(0, prefix, last_), next_ = prefix;
    }
    walk_.uses[last_] = 1;
    return value;
  }

  // False if the ring closes here.
  bool go_on() {
    double least = kNever;
    std::uint32_t best = last_;
    for (std::uint32_t w = 0; w < space_.num_devices(); ++w) {
      if (w == last_ || (family_.kind == PlanFamily::Ring && w == family_.closing_device)) continue;
      const double cost = space_.hop(last_, w, next_) + bound_.best_stage(0, next_, w).cost;
      if (cost < least) least = cost, best = w;
    }
    if (least > bound_.after(0, next_, last_)) return false;
    SHOAL_CHECK(best != last_);
    take(next_, best);
    return true;
  }

  void take(std::uint32_t begin, std::uint32_t v) {
    last_ = v;
    next_ = bound_.best_stage(0, begin, v).end;
    walk_.uses[v] += bound_.pays(v, next_) ? 1 : 0;
  }

  const SearchSpace& space_;
  const CompletionBound& bound_;
  PlanFamily family_;
  std::uint32_t last_ = 0;
  std::uint32_t next_ = 0;
  Walk walk_;
};

// The cheapest way to reach
// it at each unit joined to the cheapest way on.
class FamilyBounds {
 public:
  FamilyBounds(const SearchSpace& space, PlanFamily family, const DevicePrices& prices)
      : space_(space),
        family_(family),
        bound_(space, family, prices),
        all_prices_(std::accumulate(prices.begin(), prices.end(), 0.0)),
        arrival_(space.num_units() * std::size_t{space.num_devices()}, kNever),
        left_(arrival_.size(), kNever) {}

  // Lowers `through` to this family's; returns its bound.
  double lower(std::vector<double>& through) {
    start();
    for (std::uint32_t begin = 0; begin < space_.num_units(); ++begin) {
      for (std::uint32_t v = 0; v < space_.num_devices(); ++v) {
        if (family_.kind == PlanFamily::Ring && v == family_.closing_device) continue;
        if (begin > 0) arrive(begin, v);
        if (arrival_[at(begin, v)] < kNever) pass(begin, v, through[v]);
      }
    }
    if (family_.kind == PlanFamily::Ring) {
      double& closer = through[family_.closing_device];
      closer = std::min(closer, least_ - all_prices_);
    }
    return least_ - all_prices_;
  }

 private:
  std::size_t at(std::uint32_t unit, std::uint32_t v) const {
    return unit * std::size_t{space_.num_devices()} + v;
  }

  void start() {
    if (family_.kind != PlanFamily::Ring) {
      for (std::uint32_t v = 0; v < space_.num_devices(); ++v) {
        arrival_[at(0, v)] = space_.entry(v);
        least_ = std::min(least_, space_.entry(v) + bound_.best_stage(0, 0, v).cost);
      }
      return;
    }
    const std::uint32_t v = family_.closing_device;
    for (std::uint32_t prefix = 1; prefix <= space_.reach(v, 0) && prefix < space_.num_units(); ++prefix) {
      const double first = space_.entry(v) + space_.stage(v, 0, prefix) + bound_.price(v);
      left_[at(prefix, v)] = first;
      least_ = std::min(least_, first + bound_.after(0, prefix, v));
    }
  }

  void arrive(std::uint32_t begin, std::uint32_t v) {
    double& known = arrival_[at(begin, v)];
    for (std::uint32_t u = 0; u < space_.num_devices(); ++u) {
      if (u != v && left_[at(begin, u)] < known)
        known = std::min(known, left_[at(begin, u)] + space_.hop(u, v, begin));
    }
  }

  void pass(std::uint32_t begin, std::uint32_t v, double& through) {
    const double arrival = arrival_[at(begin, v)];
    through = std::min(through, arrival + bound_.best_stage(0, begin, v).cost - all_prices_);
    for (std::uint32_t end = begin + 1; end <= space_.reach(v, begin) && end < space_.num_units(); ++end) {
      double& known = left_[at(end, v)];
      known = std::min(known, arrival + space_.stage(v, begin, end) + bound_.price(v));
    }
  }

  const SearchSpace& space_;
  PlanFamily family_;
  CompletionBound bound_;
  double all_prices_;
  double least_ = kNever;
  std::vector<double> arrival_;  // [unit][device]: the units before are placed, and the device is next
  std::vector<double> left_;     // [unit][device]: the device has run up to the unit
};

}  // namespace

Walk cheapest_walk(const SearchSpace& space, PlanFamily family, const DevicePrices& prices) {
  const CompletionBound bound(space, family, prices);
  return WalkTrace(space, bound, family).run(std::accumulate(prices.begin(), prices.end(), 0.0));
}

std::int64_t work_of_a_walk(const SearchSpace& space) {
  const std::int64_t num_devices = space.num_devices();
  std::int64_t stages = 0;
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
    for (std::uint32_t begin = 0; begin < space.num_units(); ++begin) stages += space.reach(v, begin) - begin;
  }
  return 1 + stages + num_devices * std::min<std::int64_t>(num_devices, kHopsLookedAt) * space.num_units();
}

double family_bound(const SearchSpace& space, PlanFamily family, const DevicePrices& prices,
                    std::vector<double>& through) {
  return FamilyBounds(space, family, prices).lower(through);
}

}  // namespace shoal
