#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "partition/search_space.h"

namespace shoal {

inline constexpr std::uint32_t kMaxReachDevices = 16;
inline constexpr std::uint32_t kMaxReachRing = 12;  // where the ring may close
inline constexpr std::uint32_t kMaxReachUnits = 64;

// Is there any plan under a ceiling? Exact: for every set of devices and the last of them, every unit up to
// which they can have run, as a set of bits. A device that closes the ring is tried with each unit from which
// it could run the rest. O(2^devices devices^2) set operations, for each such unit again. Of exact_devices
// plans with fewer devices are found too.
class ReachSearch {
 public:
  // Within the bounds above, and no least number of devices.
  static bool serves(const SearchSpace& space);
  explicit ReachSearch(const SearchSpace& space);

  // Some plan, or none where none exists.
  std::optional<std::vector<PlannedStage>> find();

 private:
  using Cuts = std::uint64_t;  // bit e - 1: a stage may end, or has ended, before unit e
  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

  Cuts& reached(std::uint32_t used, std::uint32_t last) {
    return reached_[used * std::size_t{num_devices_} + last];
  }
  Cuts open(std::uint32_t from, std::uint32_t to) const {
    return open_[from * std::size_t{num_devices_} + to];
  }

  bool walk();
  bool walk_ring(std::uint32_t closer);
  bool spread();
  bool ends(std::uint32_t used, std::uint32_t last);
  Cuts after(Cuts starts, std::uint32_t v) const;
  void trace(std::uint32_t used, std::uint32_t last, std::uint32_t end);

  const SearchSpace& space_;
  std::uint32_t num_devices_;
  std::uint32_t num_units_;
  std::uint32_t most_devices_;
  std::vector<Cuts> open_;          // [from][to]: after which units a hop may be
  std::vector<Cuts> starts_;        // [device]: from where it can run one unit at least
  std::uint32_t closer_ = kNobody;  // who closes the ring of the walk at hand,
  std::uint32_t first_suffix_ = 0;  // and from where on it could
  std::vector<Cuts> reached_;       // [set][last]
  std::vector<PlannedStage> plan_;
};

}  // namespace shoal
