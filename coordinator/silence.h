#pragma once

#include "base/clock.h"

namespace shoal {

// Is this device's silence still ordinary? Phi-accrual over the gaps between its beats: phi = -log10 of the
// chance that a gap lasts this long, with the gaps' own mean and deviation. Source: Hayashibara et al. 2004.
class SilenceDetector {
 public:
  static constexpr double kSuspectPhi = 8;
  static constexpr Duration kFloor =
      std::chrono::milliseconds(1000);  // never sooner: a busy board's scheduler alone can do less
  static constexpr Duration kCap = std::chrono::milliseconds(3000);  // never later
  static constexpr std::uint32_t kEnoughSamples = 30;

  void heard(Time now);
  // The listener itself was asleep for this long since: that silence says nothing.
  void forgive(Duration asleep);
  bool is_suspect(Time now) const;
  double phi(Time now) const;
  Time heard_at() const { return heard_at_; }

 private:
  Time heard_at_{};
  std::uint32_t samples_ = 0;
  double mean_ = 0;
  double variance_ = 0;
};

}  // namespace shoal
