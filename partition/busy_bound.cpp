#include "partition/busy_bound.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

namespace shoal {
namespace {

constexpr double kPrecision = 1e-4;  // relative: so far below what counting allows the bound may be
constexpr double kLeastSeconds = 1e-9;

// Ends that a stage of v from `begin` may have under the ceiling.
std::uint32_t reach_in_time(const SearchSpace& space, std::uint32_t v, std::uint32_t begin, double ceiling) {
  std::uint32_t least = begin, most = space.reach(v, begin);
  while (least < most) {
    const std::uint32_t middle = least + (most - least + 1) / 2;
    if (space.stage(v, begin, middle) <= ceiling)
      least = middle;
    else
      most = middle - 1;
  }
  return least;
}

// The most units that v can run with a first and a last stage, others between.
std::uint32_t most_in_ring(const SearchSpace& space, std::uint32_t v, double ceiling) {
  std::uint32_t most = 0;
  std::uint32_t suffix = 0;
  for (std::uint32_t prefix = 1; prefix <= space.reach(v, 0) && prefix + 1 < space.num_units(); ++prefix) {
    suffix = std::max(suffix, prefix + 1);
    const auto fits = [&] {
      return space.may_close(v, prefix, suffix) &&
             space.stage(v, 0, prefix) + space.stage(v, suffix, space.num_units()) <= ceiling;
    };
    while (suffix < space.num_units() && !fits()) ++suffix;
    if (suffix == space.num_units()) break;
    most = std::max(most, prefix + space.num_units() - suffix);
  }
  return most;
}

// Of the units, each on the device that runs it soonest.
double longest_unit(const SearchSpace& space) {
  double longest = 0;
  for (std::uint32_t u = 0; u < space.num_units(); ++u) {
    double least = kNever;
    for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
      if (space.reach(v, u) > u) least = std::min(least, space.stage(v, u, u + 1));
    }
    longest = std::max(longest, least);
  }
  return longest;
}

bool counting_allows(const SearchSpace& space, double ceiling) {
  std::vector<bool> runs_somewhere(space.num_units(), false);
  std::vector<std::uint32_t> capacity;
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
    std::uint32_t most = 0;
    for (std::uint32_t begin = 0; begin < space.num_units(); ++begin) {
      const std::uint32_t units = reach_in_time(space, v, begin, ceiling) - begin;
      most = std::max(most, units);
      if (units > 0) runs_somewhere[begin] = true;
    }
    if (space.may_close_ring(v)) most = std::max(most, most_in_ring(space, v, ceiling));
    capacity.push_back(most);
  }
  if (std::find(runs_somewhere.begin(), runs_somewhere.end(), false) != runs_somewhere.end()) return false;
  std::sort(capacity.begin(), capacity.end(), std::greater<>());
  if (space.exact_devices > 0 && capacity.size() > space.exact_devices) capacity.resize(space.exact_devices);
  return std::accumulate(capacity.begin(), capacity.end(), std::uint64_t{0}) >= space.num_units();
}

}  // namespace

double least_busy(const SearchSpace& space) {
  if (!counting_allows(space, kNever)) return kNever;
  double below = longest_unit(space);
  if (counting_allows(space, below)) return below;
  double above = std::max(2 * below, kLeastSeconds);
  while (!counting_allows(space, above)) below = above, above *= 2;
  while (above - below > kPrecision * above) {
    const double middle = below + (above - below) / 2;
    (counting_allows(space, middle) ? above : below) = middle;
  }
  return next_busy(space, below);
}

double next_busy(const SearchSpace& space, double seconds) {
  double next = kNever;
  const auto consider = [&](double value) {
    if (value > seconds && value < next) next = value;
  };
  const std::uint32_t num_units = space.num_units();
  std::vector<std::uint32_t> cuts;  // one for each size that units send on
  for (std::uint32_t cut = 1; cut < num_units; ++cut) {
    const auto same = [&](std::uint32_t other) {
      return space.problem().units[cut - 1].output_bytes == space.problem().units[other - 1].output_bytes;
    };
    if (std::none_of(cuts.begin(), cuts.end(), same)) cuts.push_back(cut);
  }
  for (std::uint32_t v = 0; v < space.num_devices(); ++v) {
    consider(space.entry(v));
    consider(space.exit(v));
    for (std::uint32_t begin = 0; begin < num_units; ++begin) {
      const std::uint32_t end = reach_in_time(space, v, begin, seconds) + 1;
      if (end <= space.reach(v, begin)) consider(space.stage(v, begin, end));
    }
    for (std::uint32_t prefix = 1; space.may_close_ring(v) && prefix < num_units; ++prefix) {
      for (std::uint32_t suffix = prefix + 1; suffix < num_units; ++suffix)
        consider(space.stage(v, 0, prefix) + space.stage(v, suffix, num_units));
    }
    for (std::uint32_t w = 0; w < space.num_devices(); ++w) {
      for (const std::uint32_t cut : cuts) {
        if (w != v) consider(space.hop(v, w, cut));
      }
    }
  }
  return next;
}

}  // namespace shoal
