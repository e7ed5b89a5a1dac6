#pragma once

#include <cstdint>
#include <vector>

#include "partition/search_space.h"

namespace shoal {

// Least cost of what remains once units [0, next) are placed and `last` ran the latest of them, if devices
// could be used again and again (Christofides, Mingozzi and Toth 1981: state-space relaxation). Never above
// the truth, so it may prune, and at the start it bounds the whole problem. `closing_device` is the first
// device where it must run the last units too (its prefix taken as [0, closing_prefix)), or num_devices for
// plans that end elsewhere.
class CompletionBound {
 public:
  CompletionBound(const SearchSpace& space, std::uint32_t closing_device, std::uint32_t closing_prefix);

  // `further`: how many more devices must join at least (exactly, if the space has exact_devices).
  double after(std::uint32_t further, std::uint32_t next, std::uint32_t last) const {
    return after_[index(further < num_levels_ ? further : num_levels_ - 1, next, last)];
  }
  // Before anything is placed, for plans that end elsewhere and have `num_stages` stages at least (or
  // exactly).
  double at_start(const SearchSpace& space, std::uint32_t num_stages) const;

 private:
  std::size_t index(std::uint32_t level, std::uint32_t next, std::uint32_t last) const {
    return (level * (num_units_ + std::size_t{1}) + next) * num_devices_ + last;
  }
  double end_here(const SearchSpace& space, std::uint32_t next, std::uint32_t last) const;
  double best_stage(const SearchSpace& space, std::uint32_t level, std::uint32_t begin,
                    std::uint32_t v) const;
  void fill_level(const SearchSpace& space, std::uint32_t level);

  std::uint32_t num_units_;
  std::uint32_t num_devices_;
  std::uint32_t num_levels_;
  std::uint32_t closing_device_;
  std::uint32_t closing_prefix_;
  bool exact_;
  std::vector<double> after_;
};

}  // namespace shoal
