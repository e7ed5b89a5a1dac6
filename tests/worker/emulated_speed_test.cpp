#include "worker/emulated_speed.h"

#include <doctest/doctest.h>

#include <chrono>

namespace shoal {
namespace {

double seconds_asleep(const EmulatedSpeed& speed, double worked, double& in_all) {
  const auto begin = std::chrono::steady_clock::now();
  in_all = speed.make_up_for(worked);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST_CASE("a slower device's work takes as much longer as it is slower, asleep") {
  double in_all = 0;
  const double asleep = seconds_asleep(EmulatedSpeed(0.25), 0.02, in_all);
  CHECK(in_all == doctest::Approx(0.08));
  CHECK(asleep >= 0.0599);
  CHECK(asleep < 0.5);
  // Short work is not drowned in the timer's slack; the best of some, as the machine may be busy.
  double least = 1;
  for (int i = 0; i < 20; ++i) least = std::min(least, seconds_asleep(EmulatedSpeed(0.5), 100e-6, in_all));
  CHECK(least >= 100e-6);
  CHECK(least < 180e-6);
}

TEST_CASE("this device itself never sleeps") {
  double in_all = 0;
  CHECK(seconds_asleep(EmulatedSpeed(1), 10.0, in_all) < 1);
  CHECK(in_all == 10.0);
}

TEST_CASE("a slower device's profile is its own") {
  const ProfileReport report{
      .model = {}, .units = {{3, 1e-3, 4e-3, 2e-4}, {4, 2e-3, 5e-3, 0}}, .read_bytes_per_second = 8e9};
  const ProfileReport slowed = EmulatedSpeed(0.2).slowed(report);
  REQUIRE(slowed.units.size() == 2);
  CHECK(slowed.units[0].unit == 3);
  CHECK(slowed.units[0].seconds_batch1 == doctest::Approx(5e-3));
  CHECK(slowed.units[0].seconds_batch32 == doctest::Approx(20e-3));
  CHECK(slowed.units[0].seconds_per_1k_context == doctest::Approx(1e-3));
  CHECK(slowed.units[1].seconds_batch1 == doctest::Approx(10e-3));
  CHECK(slowed.read_bytes_per_second == doctest::Approx(1.6e9));
  CHECK(EmulatedSpeed(1).slowed(report) == report);
}

}  // namespace shoal
