#pragma once

#include <cstdint>
#include <vector>

#include "partition/search_space.h"

namespace shoal {

// One per device of a space, at least 0: what each stage on it costs extra. A plan pays each device's price
// at most once, so its time is at least what it pays in all less the sum of all prices
// (partition/device_prices.h looks for prices that make this bound high). Only where times are sums; empty:
// all 0.
using DevicePrices = std::vector<double>;

// Which plans a bound speaks of.
struct PlanFamily {
  enum Kind : std::uint8_t {
    Open,    // each device has one stage
    Ring,    // one given device has the first and the last
    Either,  // both of these, whoever may close the ring; weaker
  };
  Kind kind = Open;
  std::uint32_t closing_device = 0;  // of a Ring: its first stage is [0, closing_prefix) at least
  std::uint32_t closing_prefix = 1;
};

// Least cost, prices included, of what remains once units [0, next) are placed and `last` ran the latest of
// them, if devices could be used again and again (Christofides, Mingozzi and Toth 1981: state-space
// relaxation). Never above the truth, so it may prune, and at the start it bounds the whole problem. The last
// stage of a Ring pays no price (the first did), nor does any last stage in Either.
class CompletionBound {
 public:
  CompletionBound(const SearchSpace& space, PlanFamily family, const DevicePrices& prices = {});

  // `further`: how many more devices must join at least (exactly, if the space has exact_devices).
  double after(std::uint32_t further, std::uint32_t next, std::uint32_t last) const {
    return after_[index(further < num_levels_ ? further : num_levels_ - 1, last, next)];
  }
  // No plan of the family with `num_stages` stages at least (or exactly) takes less. Not of a Ring's other
  // prefixes.
  double at_start(std::uint32_t num_stages) const;

  // Device v runs some units from `begin` on, then the rest at its best with `further` more devices wanted:
  // the cost, and where its stage ends.
  struct Stage {
    double cost = kNever;
    std::uint32_t end = 0;
  };
  Stage best_stage(std::uint32_t further, std::uint32_t begin, std::uint32_t v) const;
  double price(std::uint32_t v) const { return prices_.empty() ? 0 : prices_[v]; }
  // Does a stage on v that ends at `end` pay?
  bool pays(std::uint32_t v, std::uint32_t end) const {
    return family_.kind != PlanFamily::Either || end < num_units_ || !space_.may_close_ring(v);
  }

 private:
  std::size_t index(std::uint32_t level, std::uint32_t last, std::uint32_t next) const {
    return (level * std::size_t{num_devices_} + last) * (num_units_ + std::size_t{1}) + next;
  }
  double end_here(std::uint32_t next, std::uint32_t last) const;
  void fill_level(std::uint32_t level);

  const SearchSpace& space_;
  PlanFamily family_;
  DevicePrices prices_;
  double all_prices_ = 0;
  std::uint32_t num_units_;
  std::uint32_t num_devices_;
  std::uint32_t num_levels_;
  bool exact_;
  std::vector<double> after_;
};

}  // namespace shoal
