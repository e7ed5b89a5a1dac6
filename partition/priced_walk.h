#pragma once

#include <cstdint>
#include <vector>

#include "partition/completion_bound.h"

namespace shoal {

// The cheapest walk of one family at some prices, if devices could be used again and again.
struct Walk {
  double value = kNever;  // its cost less all prices
  std::vector<int> uses;  // per device: how often it pays
};
Walk cheapest_walk(const SearchSpace& space, PlanFamily family, const DevicePrices& prices);

// About how many stages and hops are looked at to find it.
std::int64_t work_of_a_walk(const SearchSpace& space);

// What plans of one family take at least at these prices; lowers `through` to what plans of it take that use
// a device (all where it is called for every family). The space asks for no number of devices.
double family_bound(const SearchSpace& space, PlanFamily family, const DevicePrices& prices,
                    std::vector<double>& through);

}  // namespace shoal
