#include "coordinator/robust_average.h"

#include <doctest/doctest.h>

#include "tests/support/random.h"

namespace shoal {

TEST_CASE("equal samples average to themselves, noisy ones to about their mean") {
  RobustAverage equal;
  CHECK(equal.value() == 0);
  for (int i = 0; i < 100; ++i) equal.add(2.5);
  CHECK(equal.value() == doctest::Approx(2.5));
  Random random(3);
  RobustAverage noisy;
  for (int i = 0; i < 500; ++i) noisy.add(10 + random.normal());
  CHECK(noisy.value() == doctest::Approx(10).epsilon(0.08));
}

TEST_CASE("stalls do not move it, however long they are") {
  Random random(4);
  RobustAverage average;
  double least = 1e9;
  double most = 0;
  for (int i = 0; i < 1000; ++i) {
    average.add(random.below(8) == 0 ? 100.0 * (1 + random.uniform()) : 1.0 + 0.05 * random.normal());
    if (!average.is_settled()) continue;
    least = std::min(least, average.value());
    most = std::max(most, average.value());
  }
  CHECK(least > 0.95);
  CHECK(most < 1.15);
}

TEST_CASE("what lasts is followed within thirty samples, up and down") {
  RobustAverage average;
  for (int i = 0; i < 100; ++i) average.add(1);
  for (int i = 0; i < 7; ++i) average.add(3);
  CHECK(average.value() < 1.1);  // may still be a stall
  for (int i = 0; i < 23; ++i) average.add(3);
  CHECK(average.value() > 2.8);
  for (int i = 0; i < 30; ++i) average.add(1);
  CHECK(average.value() < 1.2);
}

TEST_CASE("a few samples are not enough to be believed") {
  RobustAverage average;
  for (std::uint64_t i = 1; i < RobustAverage::kEnough; ++i) average.add(1);
  CHECK_FALSE(average.is_settled());
  average.add(1);
  CHECK(average.is_settled());
  average.clear();
  CHECK_FALSE(average.is_settled());
}

}  // namespace shoal
