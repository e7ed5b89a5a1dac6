#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace shoal {

enum class FailureKind : std::uint8_t {
  Process,  // the worker is killed; its host refuses connections at once
  Power,    // the device is gone without a word; its worker starts anew when the power is back
  Network,  // its cable is pulled; the worker lives on, unreachable
};
const char* name_of(FailureKind kind);

struct PlannedFailure {
  std::string device;
  double at_seconds = 0;     // since the cluster serves
  double lasts_seconds = 0;  // 0: for good
  FailureKind kind = FailureKind::Process;
  friend bool operator==(const PlannedFailure&, const PlannedFailure&) = default;
};

struct FailurePlan {
  std::vector<PlannedFailure> planned;
  // Each device fails by itself: exponential times between failures with this mean, none at 0.
  double mean_seconds_between = 0;
  double random_lasts_seconds = 60;
  FailureKind random_kind = FailureKind::Power;
};

// All failures before `until_seconds`, in order of time, devices in the order given. A device that is down
// does not fail. Pure.
std::vector<PlannedFailure> make_failures(const FailurePlan& plan, const std::vector<std::string>& devices,
                                          double until_seconds, std::uint64_t seed);

}  // namespace shoal
