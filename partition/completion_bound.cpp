#include "partition/completion_bound.h"

#include <algorithm>
#include <numeric>

namespace shoal {
namespace {

// 0 to as many devices as may still have to join.
std::uint32_t levels_of(const SearchSpace& space) {
  if (space.exact_devices > 0) return space.exact_devices + 1;
  return space.min_devices > 1 ? space.min_devices + 1 : 1;
}

}  // namespace

CompletionBound::CompletionBound(const SearchSpace& space, PlanFamily family, const DevicePrices& prices)
    : space_(space),
      family_(family),
      prices_(prices),
      all_prices_(std::accumulate(prices.begin(), prices.end(), 0.0)),
      num_units_(space.num_units()),
      num_devices_(space.num_devices()),
      num_levels_(levels_of(space)),
      exact_(space.exact_devices > 0),
      after_(num_levels_ * (num_units_ + std::size_t{1}) * num_devices_, kNever) {
  for (std::uint32_t level = 0; level < num_levels_; ++level) fill_level(level);
}

double CompletionBound::at_start(std::uint32_t num_stages) const {
  double least = kNever;
  for (std::uint32_t v = 0; v < num_devices_; ++v) {
    const Stage first = best_stage(std::min(num_stages, num_levels_) - 1, 0, v);
    least = std::min(least, space_.times().join(space_.entry(v), first.cost));
  }
  return least - all_prices_;
}

double CompletionBound::end_here(std::uint32_t next, std::uint32_t last) const {
  if (family_.kind != PlanFamily::Ring) return next == num_units_ ? space_.exit(last) : kNever;
  const std::uint32_t closer = family_.closing_device;
  if (next == num_units_ || next == 0 || last == closer) return kNever;
  if (!space_.may_close(closer, family_.closing_prefix, next)) return kNever;
  return space_.times().join(space_.hop(last, closer, next),
                             space_.closing(closer, family_.closing_prefix, next));
}

CompletionBound::Stage CompletionBound::best_stage(std::uint32_t further, std::uint32_t begin,
                                                   std::uint32_t v) const {
  Stage best;
  const std::uint32_t reach = space_.reach(v, begin);
  const double* after = &after_[index(further, v, 0)];
  const double extra = price(v);
  for (std::uint32_t end = begin + 1; end <= reach; ++end) {
    const double paid = end < num_units_ || pays(v, end) ? extra : 0;
    const double cost = space_.times().join(space_.stage(v, begin, end) + paid, after[end]);
    if (cost < best.cost) best = {cost, end};
  }
  return best;
}

void CompletionBound::fill_level(std::uint32_t level) {
  std::vector<double> stage(num_devices_, kNever);
  std::vector<std::uint32_t> cheapest_first(num_devices_);
  std::iota(cheapest_first.begin(), cheapest_first.end(), 0u);
  const bool may_stop = level == 0;
  const bool may_go_on = level > 0 || !exact_;
  for (std::uint32_t next = num_units_ + 1; next-- > 0;) {
    for (std::uint32_t w = 0; may_go_on && w < num_devices_; ++w) {
      const bool closes = family_.kind == PlanFamily::Ring && w == family_.closing_device;
      stage[w] = closes ? kNever : best_stage(level > 0 ? level - 1 : 0, next, w).cost;
    }
    std::sort(cheapest_first.begin(), cheapest_first.end(), [&](std::uint32_t a, std::uint32_t b) {
      return stage[a] != stage[b] ? stage[a] < stage[b] : a < b;
    });
    for (std::uint32_t last = 0; last < num_devices_; ++last) {
      double best = may_stop ? end_here(next, last) : kNever;
      for (std::size_t i = 0; may_go_on && next > 0 && i < cheapest_first.size(); ++i) {
        const std::uint32_t w = cheapest_first[i];
        if (stage[w] >= best) break;  // a hop only adds
        if (w != last) best = std::min(best, space_.times().join(space_.hop(last, w, next), stage[w]));
      }
      after_[index(level, last, next)] = best;
    }
  }
}

}  // namespace shoal
