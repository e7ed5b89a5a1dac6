#pragma once

#include <cstdint>
#include <vector>

#include "partition/completion_bound.h"

namespace shoal {

// A lower bound from prices on devices. Without them the relaxation behind CompletionBound uses the best
// device again and again; a device that it uses twice becomes dearer and one it leaves out cheaper until the
// bound stops rising (Held, Wolfe and Crowder 1974, subgradient ascent on the Lagrangean dual of "each device
// once").
struct PricedBound {
  DevicePrices prices;          // per device of the space
  double lower_bound = 0;       // no plan takes less; kNever: there is none
  std::vector<double> through;  // per device: no plan that uses it takes less
};

// `target`: what a known plan takes, or kNever. `work`: about how many stages and hops may be looked at.
// Numbers of devices that the space asks for are not looked at. Where the ring may close, plans that do and
// plans that do not are bounded together. Only where times are sums.
PricedBound raise_prices(const SearchSpace& space, double target, std::uint64_t work,
                         const DevicePrices& first_prices = {});

// True if prices show that no plan exists under the space's ceiling: whatever `space.times()` say, nothing
// can be placed. False proves nothing.
bool prices_forbid(const PlanProblem& problem, const SearchSpace& space, std::uint64_t work);

// The highest bound that prices give on each kind of plan by itself (partition/completion_bound.h), with the
// space's number of devices. Tighter than the above where few devices may close the ring.
double bound_at_prices(const SearchSpace& space, const DevicePrices& prices);

}  // namespace shoal
