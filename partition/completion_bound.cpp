#include "partition/completion_bound.h"

#include <algorithm>

namespace shoal {

CompletionBound::CompletionBound(const SearchSpace& space, std::uint32_t closing_device,
                                 std::uint32_t closing_prefix)
    : num_units_(space.num_units()),
      num_devices_(space.num_devices()),
      num_levels_(space.exact_devices > 0 ? space.exact_devices + 1 : std::max(1u, space.min_devices + 1)),
      closing_device_(closing_device),
      closing_prefix_(closing_prefix),
      exact_(space.exact_devices > 0),
      after_(num_levels_ * (num_units_ + std::size_t{1}) * num_devices_, kNever) {
  for (std::uint32_t level = 0; level < num_levels_; ++level) fill_level(space, level);
}

double CompletionBound::at_start(const SearchSpace& space, std::uint32_t num_stages) const {
  double least = kNever;
  for (std::uint32_t v = 0; v < num_devices_; ++v) {
    const double rest = best_stage(space, std::min(num_stages, num_levels_) - 1, 0, v);
    least = std::min(least, space.times().join(space.entry(v), rest));
  }
  return least;
}

double CompletionBound::end_here(const SearchSpace& space, std::uint32_t next, std::uint32_t last) const {
  if (closing_device_ == num_devices_) return next == num_units_ ? space.exit(last) : kNever;
  if (next == num_units_ || next == 0 || last == closing_device_) return kNever;
  if (!space.may_close(closing_device_, closing_prefix_, next)) return kNever;
  return space.times().join(space.hop(last, closing_device_, next),
                            space.closing(closing_device_, closing_prefix_, next));
}

// Device v runs some units from `begin` on, then the rest at its best with `level` more devices wanted.
double CompletionBound::best_stage(const SearchSpace& space, std::uint32_t level, std::uint32_t begin,
                                   std::uint32_t v) const {
  double best = kNever;
  const std::uint32_t reach = space.reach(v, begin);
  for (std::uint32_t end = begin + 1; end <= reach; ++end) {
    best = std::min(best, space.times().join(space.stage(v, begin, end), after_[index(level, end, v)]));
  }
  return best;
}

void CompletionBound::fill_level(const SearchSpace& space, std::uint32_t level) {
  std::vector<double> stage(num_devices_);
  for (std::uint32_t next = num_units_ + 1; next-- > 0;) {
    const bool may_stop = level == 0;
    const bool may_go_on = level > 0 || !exact_;
    if (may_go_on) {
      for (std::uint32_t w = 0; w < num_devices_; ++w) {
        stage[w] = w == closing_device_ ? kNever : best_stage(space, level > 0 ? level - 1 : 0, next, w);
      }
    }
    for (std::uint32_t last = 0; last < num_devices_; ++last) {
      double best = may_stop ? end_here(space, next, last) : kNever;
      for (std::uint32_t w = 0; may_go_on && next > 0 && w < num_devices_; ++w) {
        if (w != last && stage[w] < best)
          best = std::min(best, space.times().join(space.hop(last, w, next), stage[w]));
      }
      after_[index(level, next, last)] = best;
    }
  }
}

}  // namespace shoal
