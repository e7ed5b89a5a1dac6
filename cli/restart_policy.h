#pragma once

#include <algorithm>

#include "base/clock.h"

namespace shoal {

// When a process that ended may run again: after one second, twice as long each further time, at most thirty;
// one that ran for a minute begins at one second again. Pure.
class RestartPolicy {
 public:
  static constexpr Duration kFirst = std::chrono::seconds(1);
  static constexpr Duration kMost = std::chrono::seconds(30);
  static constexpr Duration kSteady = std::chrono::seconds(60);

  Time after_end(Time started, Time ended) {
    if (ended - started >= kSteady) delay_ = kFirst;
    const Time again = ended + delay_;
    delay_ = std::min(delay_ * 2, kMost);
    return again;
  }

 private:
  Duration delay_ = kFirst;
};

}  // namespace shoal
