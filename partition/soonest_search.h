#pragma once

#include <cstddef>
#include <cstdint>

#include "partition/path_search.h"
#include "partition/planner.h"

namespace shoal {

// How much a search may cost.
struct Effort {
  std::size_t exact_labels = 8'000'000;  // partial plans of a full search of few devices; memory is the limit
  std::size_t try_labels = 600'000;      // of one that may be given up
  std::uint64_t price_work = 60'000'000;  // stages and hops looked at for the lower bound
  std::uint64_t order_work = 60'000'000;  // stages looked at to improve a plan
  bool uniform_search = true;             // whether a problem of uniform layers may cost a second to prove
  bool first_found = false;               // any plan will do
};

// The plan of least latency in the space (its ceiling, its numbers of devices) that is not worse than the
// incumbent, with a lower bound. In order of cost, until one settles it: a narrow beam; a short full search;
// prices on devices, which raise the bound (partition/device_prices.h) and rule devices out; full searches at
// these prices, never given up for kExactDevices, or kExactUniformDevices if layers are alike; wide beams and
// changes of the order of devices (partition/order_search.h). Only where times are sums.
SearchOutcome soonest_plan(const SearchSpace& space, const SearchOutcome& incumbent,
                           const Effort& effort = {});

}  // namespace shoal
