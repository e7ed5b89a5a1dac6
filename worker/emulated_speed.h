#pragma once

#include "base/clock.h"

namespace shoal {

// A device that is `speed` times as fast as this one, for trying clusters out on one machine: whoever has
// worked for a while sleeps for as long as the slower device would still be at it. A quota of CPU time would
// not do that to a stage that is busy a fifth of the time.
class EmulatedSpeed {
 public:
  static constexpr double kSlowest = 0.01;
  explicit EmulatedSpeed(double speed) : speed_(speed) {}  // in [kSlowest, 1]; 1: this device itself

  // Sleeps (1/speed - 1) times what the work took; returns what it then took in all, in seconds.
  double make_up_for(double seconds) const;
  // What this device does per second, as the slower one would.
  double of_rate(double per_second) const { return per_second * speed_; }

 private:
  double speed_;
};

}  // namespace shoal
