#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace shoal {

// A moving average that one stall does not move: each sample counts at most as far from the median of the
// last kWindow as three times their median absolute deviation (scaled to a standard deviation). What lasts
// for more than half of the window becomes the median and counts in full. Pure; allocates nothing.
class RobustAverage {
 public:
  static constexpr std::size_t kWindow = 15;
  static constexpr std::uint64_t kEnough = 8;  // samples before value() says something of the whole
  static constexpr double kWeight = 0.15;      // of the newest sample; the first ones' plain mean before

  void add(double sample);
  double value() const { return value_; }  // 0 before the first
  std::uint64_t num_samples() const { return num_samples_; }
  bool is_settled() const { return num_samples_ >= kEnough; }
  void clear() { *this = {}; }

 private:
  double clipped(double sample) const;

  std::array<double, kWindow> window_{};
  std::uint64_t num_samples_ = 0;
  double value_ = 0;
};

}  // namespace shoal
