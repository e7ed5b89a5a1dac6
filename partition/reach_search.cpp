#include "partition/reach_search.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace shoal {
namespace {

std::uint64_t bit_of(std::uint32_t cut) { return std::uint64_t{1} << (cut - 1); }

// Bits of the cuts in (begin, end].
std::uint64_t cuts_up_to(std::uint32_t begin, std::uint32_t end) {
  const std::uint64_t below = end >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << end) - 1;
  return begin >= 64 ? 0 : below >> begin << begin;
}

}  // namespace

bool ReachSearch::serves(const SearchSpace& space) {
  return space.num_devices() <= (space.any_ring() ? kMaxReachRing : kMaxReachDevices) &&
         space.num_units() <= kMaxReachUnits && space.min_devices <= 1;
}

ReachSearch::ReachSearch(const SearchSpace& space)
    : space_(space),
      num_devices_(space.num_devices()),
      num_units_(space.num_units()),
      most_devices_(space.exact_devices > 0 ? space.exact_devices : space.num_devices()) {
  SHOAL_CHECK(serves(space));
  for (std::uint32_t from = 0; from < num_devices_; ++from) {
    for (std::uint32_t to = 0; to < num_devices_; ++to) {
      Cuts open = 0;
      for (std::uint32_t cut = 1; cut < num_units_ && to != from; ++cut) {
        if (space.hop(from, to, cut) < kNever) open |= bit_of(cut);
      }
      open_.push_back(open);
    }
    Cuts starts = 0;
    for (std::uint32_t cut = 1; cut < num_units_; ++cut) {
      if (space.reach(from, cut) > cut) starts |= bit_of(cut);
    }
    starts_.push_back(starts);
  }
  reached_.resize((std::size_t{1} << num_devices_) * num_devices_);
}

std::optional<std::vector<PlannedStage>> ReachSearch::find() {
  if (num_devices_ == 0) return std::nullopt;
  if (walk()) return plan_;
  for (std::uint32_t v = 0; v < num_devices_; ++v) {
    if (space_.may_close_ring(v) && walk_ring(v)) return plan_;
  }
  return std::nullopt;
}

bool ReachSearch::walk() {
  closer_ = kNobody;
  std::fill(reached_.begin(), reached_.end(), Cuts{0});
  for (std::uint32_t v = 0; v < num_devices_; ++v) {
    if (space_.entry(v) < kNever) reached(1u << v, v) = cuts_up_to(0, space_.reach(v, 0));
  }
  return spread();
}

// For each unit from which the closer could run the rest: with all first stages that leave it room for that.
bool ReachSearch::walk_ring(std::uint32_t closer) {
  if (space_.entry(closer) == kNever || space_.exit(closer) == kNever) return false;
  closer_ = closer;
  const auto first_suffix = [&](std::uint32_t prefix) {
    std::uint32_t suffix = num_units_;
    while (suffix > prefix + 1 && space_.may_close(closer, prefix, suffix - 1)) --suffix;
    return suffix;
  };
  const std::uint32_t last_prefix = std::min(space_.reach(closer, 0), num_units_ - 1);
  for (std::uint32_t prefix = 1; prefix <= last_prefix; ++prefix) {
    first_suffix_ = first_suffix(prefix);
    if (first_suffix_ >= num_units_) return false;
    if (prefix < last_prefix && first_suffix(prefix + 1) == first_suffix_) continue;
    std::fill(reached_.begin(), reached_.end(), Cuts{0});
    reached(1u << closer, closer) = cuts_up_to(0, prefix);
    if (spread()) return true;
  }
  return false;
}

// Small sets before those they are part of.
bool ReachSearch::spread() {
  const std::uint32_t always = closer_ == kNobody ? 0 : 1u << closer_;
  for (std::uint32_t used = 1; used < 1u << num_devices_; ++used) {
    if ((used & always) != always) continue;
    const bool is_full = static_cast<std::uint32_t>(std::popcount(used)) >= most_devices_;
    for (std::uint32_t rest = used; rest != 0; rest &= rest - 1) {
      const auto last = static_cast<std::uint32_t>(std::countr_zero(rest));
      const Cuts here = reached(used, last);
      if (here == 0) continue;
      if (ends(used, last)) return true;
      for (std::uint32_t w = 0; w < num_devices_ && !is_full; ++w) {
        const Cuts starts = here & open(last, w) & starts_[w];
        if (starts != 0 && (used >> w & 1) == 0) reached(used | 1u << w, w) |= after(starts, w);
      }
    }
  }
  return false;
}

bool ReachSearch::ends(std::uint32_t used, std::uint32_t last) {
  const Cuts here = reached(used, last);
  if (closer_ == kNobody) {
    if ((here & bit_of(num_units_)) == 0 || space_.exit(last) == kNever) return false;
    trace(used, last, num_units_);
    return true;
  }
  if (last == closer_) return false;
  const Cuts closing = here & open(last, closer_) & cuts_up_to(first_suffix_ - 1, num_units_ - 1);
  if (closing == 0) return false;
  const auto cut = static_cast<std::uint32_t>(std::countr_zero(closing)) + 1;
  trace(used, last, cut);
  plan_.push_back({space_.device(closer_), {cut, num_units_}});
  return true;
}

// Where v can end if it begins at one of `starts`, all of which allow it one unit: from cuts in a row,
// everywhere up to where the last of them lets it.
ReachSearch::Cuts ReachSearch::after(Cuts starts, std::uint32_t v) const {
  Cuts ends = 0;
  while (starts != 0) {
    const auto first = static_cast<std::uint32_t>(std::countr_zero(starts)) + 1;
    const auto run = static_cast<std::uint32_t>(std::countr_one(starts >> (first - 1)));
    const std::uint32_t last = first + run - 1;
    ends |= cuts_up_to(first, space_.reach(v, last));
    starts &= ~cuts_up_to(first - 1, last);
  }
  return ends;
}

// Backwards from a reached cut: who could have run before.
void ReachSearch::trace(std::uint32_t used, std::uint32_t last, std::uint32_t end) {
  plan_.clear();
  while (std::popcount(used) > 1) {
    const std::uint32_t before = used & ~(1u << last);
    std::uint32_t from = 0, begin = 0;
    for (std::uint32_t rest = before; rest != 0 && begin == 0; rest &= rest - 1) {
      from = static_cast<std::uint32_t>(std::countr_zero(rest));
      for (std::uint32_t cut = 1; cut < end && begin == 0; ++cut) {
        const bool could = (reached(before, from) & open(from, last) & bit_of(cut)) != 0;
        if (could && space_.reach(last, cut) >= end) begin = cut;
      }
    }
    SHOAL_CHECK(begin > 0);
    plan_.push_back({space_.device(last), {begin, end}});
    used = before, last = from, end = begin;
  }
  plan_.push_back({space_.device(last), {0, end}});
  std::reverse(plan_.begin(), plan_.end());
}

}  // namespace shoal
