#include "partition/soonest_search.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "partition/device_prices.h"
#include "partition/order_search.h"
#include "partition/reach_search.h"
#include "partition/uniform_search.h"

namespace shoal {
namespace {

constexpr std::size_t kNarrowBeam = 48;
constexpr std::size_t kWideBeam = 512;
constexpr std::size_t kShortSearch = 20'000;  // labels
constexpr std::size_t kShrinks = 10;          // one in so many devices ruled out: worth another look
constexpr std::size_t kFew = 3;
constexpr double kRounding = 1e-12;

class SoonestSearch {
 public:
  SoonestSearch(const SearchSpace& space, const SearchOutcome& incumbent, const Effort& effort)
      : space_(space), effort_(effort), best_(incumbent) {
    best_.complete = false;
    best_.lower_bound = 0;
  }

  SearchOutcome run() {
    if (space_.num_devices() <= kMaxSearchDevices) {
      if (settled_at_once()) return settled();
      if (!best_.found() && settled_by_reach()) return settled();
    } else {
      try_best_places(space_, raise_prices(space_, kNever, effort_.price_work / 4), kNarrowBeam);
      if (is_settled()) return settled();
    }
    improve_order();
    return settled_by_prices() ? settled() : std::move(best_);
  }

 private:
  bool is_settled() const {
    return (effort_.first_found && best_.found()) || best_.lower_bound >= best_.objective * (1 - kRounding);
  }
  SearchOutcome settled() {
    best_.complete = true;
    best_.lower_bound = best_.objective;
    return std::move(best_);
  }

  // True if the search was complete.
  bool take(SearchOutcome found) {
    const double bound = best_.lower_bound;
    const bool complete = found.complete;
    best_ = std::move(found);
    best_.complete = false;
    best_.lower_bound = bound;
    return complete;
  }
  bool try_beam(const SearchSpace& space, const DevicePrices& prices, std::size_t width) {
    return take(PathSearch(space, prices).run({width, effort_.exact_labels}, best_));
  }

  bool settled_at_once() {
    PathSearch search(space_);
    if (take(search.run({kNarrowBeam, effort_.exact_labels}, best_)) || is_settled()) return true;
    return take(search.run({.max_labels = std::min(kShortSearch, effort_.try_labels)}, best_));
  }

  void improve_order() {
    if (!best_.found() || !all_in(space_)) return;
    OrderSearch search(space_);
    take(search.improve(best_, effort_.order_work));
  }

  // An incumbent from elsewhere may use devices that are not looked at.
  bool all_in(const SearchSpace& space) const {
    const std::vector<std::uint32_t>& devices = space.devices();
    return std::all_of(best_.stages.begin(), best_.stages.end(), [&](const PlannedStage& stage) {
      return std::find(devices.begin(), devices.end(), stage.device) != devices.end();
    });
  }

  // The places through which a plan can be soonest, and those without which some unit finds no room; in
  // ascending order.
  static std::vector<std::uint32_t> nearest(const SearchSpace& space, const PricedBound& priced,
                                            std::size_t count) {
    const std::vector<bool> needed = hard_to_replace(space);
    std::vector<std::uint32_t> places(space.num_devices());
    std::iota(places.begin(), places.end(), 0u);
    std::stable_sort(places.begin(), places.end(), [&](std::uint32_t a, std::uint32_t b) {
      return needed[a] != needed[b] ? needed[a] : priced.through[a] < priced.through[b];
    });
    places.resize(std::min(count, places.size()));
    std::sort(places.begin(), places.end());
    return places;
  }

  // Places of units that few can run.
  static std::vector<bool> hard_to_replace(const SearchSpace& space) {
    std::vector<bool> needed(space.num_devices(), false);
    for (std::uint32_t u = 0; u < space.num_units(); ++u) {
      std::vector<std::uint32_t> able;
      for (std::uint32_t v = 0; v < space.num_devices() && able.size() <= kFew; ++v) {
        if (space.reach(v, u) > u) able.push_back(v);
      }
      if (able.size() > kFew) continue;
      for (const std::uint32_t v : able) needed[v] = true;
    }
    return needed;
  }

  // A plan that uses any other place is worse than the best known.
  std::vector<std::uint32_t> worth_a_try(const PricedBound& priced) const {
    const double all_prices = std::accumulate(priced.prices.begin(), priced.prices.end(), 0.0);
    const double limit =
        best_.found() ? best_.objective + 10 * kRounding * (best_.objective + all_prices) : kNever;
    std::vector<std::uint32_t> places;
    for (std::uint32_t v = 0; v < priced.through.size(); ++v) {
      if (priced.through[v] <= limit && priced.through[v] < kNever) places.push_back(v);
    }
    return places;
  }

  static PricedBound priced_for(const std::vector<std::uint32_t>& places, const PricedBound& priced) {
    PricedBound some;
    some.lower_bound = priced.lower_bound;
    for (const std::uint32_t v : places) {
      some.prices.push_back(priced.prices[v]);
      some.through.push_back(priced.through[v]);
    }
    return some;
  }

  // Prices rule out devices, and are then looked for again with those that are left.
  bool settled_by_prices() {
    std::optional<SearchSpace> left(space_);
    PricedBound priced;
    while (true) {
      priced = raise_prices(*left, best_.objective, effort_.price_work, priced.prices);
      best_.lower_bound = std::max(best_.lower_bound, std::min(priced.lower_bound, best_.objective));
      const std::vector<std::uint32_t> kept = worth_a_try(priced);
      if (is_settled() || kept.empty()) return true;
      const bool shrinks = kept.size() + kept.size() / kShrinks < left->num_devices();
      SearchSpace rest = left->with(kept);
      left.emplace(std::move(rest));
      priced = priced_for(kept, priced);
      if (!shrinks) break;
      try_best_places(*left, priced, kNarrowBeam);
    }
    if (left->num_devices() <= kMaxSearchDevices && settled_by_full_search(*left, priced.prices)) return true;
    if (effort_.first_found) return is_settled();
    try_best_places(*left, priced, kWideBeam);
    improve_order();
    const double bound = bound_at_prices(*left, priced.prices);
    best_.lower_bound = std::max(best_.lower_bound, std::min(bound, best_.objective));
    return is_settled();
  }

  bool settled_by_full_search(const SearchSpace& left, const DevicePrices& prices) {
    PathSearch search(left, prices);
    if (take(search.run({kNarrowBeam, effort_.exact_labels}, best_)) || is_settled()) return true;
    const bool is_small = left.num_devices() <= kExactDevices;
    if (take(search.run({.max_labels = is_small ? effort_.exact_labels : effort_.try_labels}, best_)))
      return true;
    if (is_small || !effort_.uniform_search || left.num_devices() > kExactUniformDevices) return false;
    if (!has_uniform_layers(space_.problem())) return false;
    return take(
        uniform_search(std::vector<const SearchSpace*>(left.num_devices() + std::size_t{1}, &left), best_));
  }

  void try_best_places(const SearchSpace& space, const PricedBound& priced, std::size_t width) {
    const std::vector<std::uint32_t> places = nearest(space, priced, kMaxSearchDevices);
    try_beam(space.with(places), priced_for(places, priced).prices, width);
  }

  // A plan to begin with where a beam found none, or the proof that there is none.
  bool settled_by_reach() {
    if (!ReachSearch::serves(space_)) return false;
    std::optional<std::vector<PlannedStage>> found = ReachSearch(space_).find();
    if (!found) return true;
    if (space_.exact_devices > 0 && num_distinct_devices(*found) != space_.exact_devices) return false;
    best_.objective = space_.times().plan(*found);
    best_.stages = *std::move(found);
    return is_settled();
  }

  const SearchSpace& space_;
  const Effort& effort_;
  SearchOutcome best_;
};

}  // namespace

SearchOutcome soonest_plan(const SearchSpace& space, const SearchOutcome& incumbent, const Effort& effort) {
  return SoonestSearch(space, incumbent, effort).run();
}

}  // namespace shoal
