#include "coordinator/silence.h"

#include <algorithm>
#include <cmath>

namespace shoal {
namespace {
constexpr double kWeight = 0.02;          // of the newest gap: five seconds of beats count
constexpr double kLeastDeviation = 0.05;  // seconds: one late timer is no death
constexpr double kGreatestPhi = 300;
}  // namespace

void SilenceDetector::heard(Time now) {
  if (heard_at_ != Time{}) {
    const double gap = seconds(now - heard_at_);
    ++samples_;
    if (samples_ == 1) {
      mean_ = gap;
    } else {
      const double difference = gap - mean_;
      mean_ += kWeight * difference;
      variance_ = (1 - kWeight) * (variance_ + kWeight * difference * difference);
    }
  }
  heard_at_ = now;
}

void SilenceDetector::forgive(Duration asleep) {
  if (heard_at_ != Time{}) heard_at_ += asleep;
}

double SilenceDetector::phi(Time now) const {
  const double deviation = std::max(std::sqrt(variance_), kLeastDeviation);
  const double distance = (seconds(now - heard_at_) - mean_) / deviation;
  const double chance = 0.5 * std::erfc(distance / std::sqrt(2.0));
  return chance > 0 ? std::min(-std::log10(chance), kGreatestPhi) : kGreatestPhi;
}

bool SilenceDetector::is_suspect(Time now) const {
  if (heard_at_ == Time{}) return false;
  const Duration silence = now - heard_at_;
  if (silence >= kCap) return true;
  return silence >= kFloor && samples_ >= kEnoughSamples && phi(now) >= kSuspectPhi;
}

}  // namespace shoal
