#include "simulation/failures.h"

#include <algorithm>

#include "simulation/random_stream.h"

namespace shoal {

const char* name_of(FailureKind kind) {
  switch (kind) {
    case FailureKind::Process:
      return "process";
    case FailureKind::Power:
      return "power";
    case FailureKind::Network:
      return "network";
  }
  return "unknown";
}

std::vector<PlannedFailure> make_failures(const FailurePlan& plan, const std::vector<std::string>& devices,
                                          double until_seconds, std::uint64_t seed) {
  std::vector<PlannedFailure> failures = plan.planned;
  std::erase_if(failures, [&](const PlannedFailure& f) { return f.at_seconds >= until_seconds; });
  for (const std::string& device : devices) {
    if (plan.mean_seconds_between <= 0) break;
    RandomStream random(seed, "failures of " + device);
    double at = random.exponential(plan.mean_seconds_between);
    while (at < until_seconds) {
      failures.push_back({device, at, plan.random_lasts_seconds, plan.random_kind});
      if (plan.random_lasts_seconds <= 0) break;
      at += plan.random_lasts_seconds + random.exponential(plan.mean_seconds_between);
    }
  }
  std::ranges::stable_sort(failures, {}, &PlannedFailure::at_seconds);
  return failures;
}

}  // namespace shoal
