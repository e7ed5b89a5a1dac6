#include "coordinator/robust_average.h"

#include <algorithm>
#include <cmath>

namespace shoal {
namespace {

constexpr double kDeviations = 3;
constexpr double kMadToDeviation = 1.4826;  // of a normal distribution
constexpr double kLeastDeviation = 0.02;    // of the median: equal samples do not make the next one a stall

template <typename Values>
double median_of(Values values, std::size_t count) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(count / 2);
  std::nth_element(values.begin(), middle, values.begin() + static_cast<std::ptrdiff_t>(count));
  return *middle;
}

}  // namespace

void RobustAverage::add(double sample) {
  window_[num_samples_ % kWindow] = sample;
  ++num_samples_;
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(num_samples_));
  value_ += weight * (clipped(sample) - value_);
}

double RobustAverage::clipped(double sample) const {
  const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(num_samples_, kWindow));
  const double median = median_of(window_, count);
  std::array<double, kWindow> distances = window_;
  for (double& distance : distances) distance = std::abs(distance - median);
  const double deviation = kMadToDeviation * median_of(distances, count);
  const double most = kDeviations * std::max(deviation, kLeastDeviation * std::abs(median));
  return std::clamp(sample, median - most, median + most);
}

}  // namespace shoal
