#pragma once

#include <chrono>
#include <cstdint>

namespace shoal {

// Monotonic time. State machines are handed a Time and never ask for one; nothing depends on the wall clock.
using Duration = std::chrono::nanoseconds;
using Time = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  Time now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
};

// A clock that a test or the simulator moves by hand.
class FakeClock final : public Clock {
 public:
  Time now() const override { return now_; }
  void advance(Duration by) { now_ += by; }
  void advance_to(Time to) { now_ = to; }

 private:
  Time now_{};
};

// As frames carry a sender's clock, and how long ago that was by the receiver's: off by what the two differ.
inline std::uint64_t nanoseconds(Time time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}
inline double transit_seconds(std::uint64_t sent_at_ns, Time now) {
  return static_cast<double>(static_cast<std::int64_t>(nanoseconds(now) - sent_at_ns)) * 1e-9;
}

inline double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration from_seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

}  // namespace shoal
