#pragma once

#include <cstdint>
#include <vector>

#include "partition/path_search.h"

namespace shoal {

// Devices (places in a space) in the order in which units pass them. `closes`: the first one runs the last
// units too.
struct DeviceOrder {
  std::vector<std::uint32_t> places;
  bool closes = false;
};

// Search over orders of devices instead of plans: for a given order the best cuts are found exactly, by a
// dynamic programme over (device, unit) that keeps memory, rules, ceiling and numbers of devices. For
// problems too large to search in full. Any objective; one call at a time.
class OrderSearch {
 public:
  explicit OrderSearch(const SearchSpace& space);

  // The best plan that passes the devices in this order; not found if they cannot hold the units so.
  SearchOutcome best_cuts(const DeviceOrder& order);

  // Improves a plan by the best single change of its order until none helps or the work is done: a device
  // replaced by another, added or left out, two exchanged, one moved, a run of them reversed, the ring closed
  // or opened. `work`: about how many stages may be looked at. The answer is never complete.
  SearchOutcome improve(SearchOutcome plan, std::uint64_t work);

 private:
  double evaluate(const DeviceOrder& order, Range prefixes, double give_up);
  double fill(const DeviceOrder& order, std::uint32_t prefix, double give_up);
  void start_row(std::uint32_t v, std::uint32_t prefix, bool closes);
  double fill_row(std::size_t row, std::uint32_t from, std::uint32_t to);
  double finish(const DeviceOrder& order, std::uint32_t prefix) const;
  SearchOutcome cuts(const DeviceOrder& order, std::uint32_t prefix, double value);
  DeviceOrder order_of(const std::vector<PlannedStage>& stages) const;

  void try_changes();
  void try_changes_at(std::size_t i, const std::vector<std::uint32_t>& others);
  void consider(DeviceOrder order);

  std::size_t at(std::size_t row, std::uint32_t bare, std::uint32_t end) const {
    return (row * num_bare_ + bare) * (space_.num_units() + std::size_t{1}) + end;
  }
  bool is_bare(std::uint32_t begin, std::uint32_t end) const {
    return counts_bare_ && (end <= space_.layers().begin || begin >= space_.layers().end);
  }

  const SearchSpace& space_;
  std::vector<std::uint32_t> place_of_;  // by device of the problem
  // Of the order at hand: least cost with its first devices run up to a unit, by how many of them hold no
  // layer.
  std::vector<double> rows_;
  std::uint32_t num_bare_ = 1;
  bool counts_bare_ = false;
  std::uint64_t work_ = 0;

  DeviceOrder current_;
  std::uint32_t prefix_ = 0;  // of the current order, where it closes
  DeviceOrder best_;
  double best_cost_ = kNever;
};

}  // namespace shoal
