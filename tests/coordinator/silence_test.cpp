#include "coordinator/silence.h"

#include <doctest/doctest.h>

#include "tests/support/random.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

Time after_regular_beats(SilenceDetector& detector, int count, Duration gap = milliseconds(100)) {
  Time now{std::chrono::seconds(1)};
  for (int i = 0; i < count; ++i) {
    detector.heard(now);
    now += gap;
  }
  return now - gap;
}

// From the last beat to the suspicion.
Duration patience(const SilenceDetector& detector) {
  Duration silence{};
  while (!detector.is_suspect(detector.heard_at() + silence)) silence += milliseconds(10);
  return silence;
}

}  // namespace

TEST_CASE("a device never heard of is not suspected") {
  const SilenceDetector detector;
  CHECK_FALSE(detector.is_suspect(Time{std::chrono::hours(1)}));
}

TEST_CASE("a device that beats regularly is suspected after a second of silence and not before") {
  SilenceDetector detector;
  const Time last = after_regular_beats(detector, 100);
  CHECK_FALSE(detector.is_suspect(last + milliseconds(150)));
  CHECK_FALSE(detector.is_suspect(last + milliseconds(990)));
  CHECK(detector.is_suspect(last + milliseconds(1010)));
}

TEST_CASE("with few beats heard only the longest patience counts") {
  SilenceDetector detector;
  const Time last = after_regular_beats(detector, 5);
  CHECK_FALSE(detector.is_suspect(last + milliseconds(2900)));
  CHECK(detector.is_suspect(last + milliseconds(3000)));
}

TEST_CASE("a device whose beats come unevenly is given more time, up to three seconds") {
  SilenceDetector detector;
  Random random(5);
  Time now{std::chrono::seconds(1)};
  Duration sum{};
  for (int i = 0; i < 600; ++i) {
    detector.heard(now);
    if (i >= 100) sum += patience(detector);
    CHECK(detector.is_suspect(now + milliseconds(3000)));
    now += milliseconds(100 + random.below(10) / 9 * 700);
  }
  CHECK(sum / 500 > milliseconds(1200));  // a regular one is given 1,000
}

TEST_CASE("suspicion grows with silence and ends with a beat") {
  SilenceDetector detector;
  const Time last = after_regular_beats(detector, 100);
  double before = -1;
  for (int ms = 100; ms < 3000; ms += 100) {
    const double phi = detector.phi(last + milliseconds(ms));
    CHECK(phi >= before);
    before = phi;
  }
  detector.heard(last + milliseconds(2500));
  CHECK_FALSE(detector.is_suspect(last + milliseconds(2600)));
}

TEST_CASE("time that the listener slept is not silence, before or after") {
  SilenceDetector detector;
  const Time last = after_regular_beats(detector, 100);
  detector.forgive(std::chrono::seconds(5));
  const Time awake = last + std::chrono::seconds(5);
  CHECK_FALSE(detector.is_suspect(awake + milliseconds(900)));
  CHECK(detector.is_suspect(awake + milliseconds(1100)));
  detector.heard(awake + milliseconds(100));  // and its rhythm is what it was
  CHECK(detector.is_suspect(awake + milliseconds(1200)));
  SilenceDetector unheard;
  unheard.forgive(std::chrono::seconds(5));
  CHECK_FALSE(unheard.is_suspect(awake));
}

}  // namespace shoal
