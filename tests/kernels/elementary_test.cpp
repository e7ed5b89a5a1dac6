#include <bit>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "kernels/elementary.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support/slow_run.h"

using namespace shoal;
using namespace shoal::test;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Units in the last place of the correctly rounded result.
double ulps(float ours, long double truth) {
  const float rounded = static_cast<float>(truth);
  const double unit = static_cast<double>(std::nextafter(std::fabs(rounded), kInfinity) - std::fabs(rounded));
  return static_cast<double>(std::fabs(static_cast<long double>(ours) - truth)) / unit;
}

}  // namespace

TEST_CASE("exp is within 4 ulp wherever the result is normal") {
  Random random(51);
  double worst = 0.0;
  for (int i = 0; i < 300'000 / static_cast<int>(kCaseStride); ++i) {
    const float x = random.uniform(-87.3f, 88.7f);
    worst = std::max(worst, ulps(exp_f32(x), std::exp(static_cast<long double>(x))));
    const float small = random.uniform(-1.0f, 1.0f);
    worst = std::max(worst, ulps(exp_f32(small), std::exp(static_cast<long double>(small))));
  }
  MESSAGE("worst exp error: " << worst << " ulp");
  CHECK(worst <= 4.0);
}

TEST_CASE("exp's edges: 0 below the normal range, infinity above, NaN through") {
  CHECK(exp_f32(0.0f) == 1.0f);
  CHECK(exp_f32(-0.0f) == 1.0f);
  CHECK(exp_f32(-kInfinity) == 0.0f);
  CHECK(exp_f32(kInfinity) == kInfinity);
  CHECK(exp_f32(-87.4f) == 0.0f);
  CHECK(exp_f32(-87.3365f) >= std::numeric_limits<float>::min());
  CHECK(exp_f32(88.7228f) < kInfinity);
  CHECK(exp_f32(88.73f) == kInfinity);
  CHECK(std::isnan(exp_f32(kNan)));
  float previous = 0.0f;  // no step down, no denormal, across the lower edge
  for (float x = -87.3370f; x < -87.3360f; x = std::nextafter(x, 0.0f)) {
    const float y = exp_f32(x);
    CHECK((y == 0.0f || y >= std::numeric_limits<float>::min()));
    CHECK(y >= previous);
    previous = y;
  }
}

TEST_CASE("log is within 4 ulp for every positive number, subnormal ones included") {
  Random random(52);
  double worst = 0.0;
  for (int i = 0; i < 300'000 / static_cast<int>(kCaseStride); ++i) {
    const auto bits = static_cast<std::uint32_t>(1 + random.below(0x7f7fffff));
    const float x = std::bit_cast<float>(bits);
    worst = std::max(worst, ulps(log_f32(x), std::log(static_cast<long double>(x))));
    const float near_one = random.uniform(0.5f, 2.0f);
    if (near_one != 1.0f)
      worst = std::max(worst, ulps(log_f32(near_one), std::log(static_cast<long double>(near_one))));
  }
  MESSAGE("worst log error: " << worst << " ulp");
  CHECK(worst <= 4.0);
  CHECK(log_f32(1.0f) == 0.0f);
  CHECK(log_f32(kInfinity) == kInfinity);
  CHECK(log_f32(0.0f) == -kInfinity);
  CHECK(std::isnan(log_f32(-1.0f)));
}

TEST_CASE("tanh is within 2e-7, odd, and reaches 1") {
  Random random(53);
  double worst = 0.0;
  for (int i = 0; i < 300'000 / static_cast<int>(kCaseStride); ++i) {
    const float x = i % 2 == 0 ? random.uniform(-12.0f, 12.0f) : random.uniform(-0.7f, 0.7f);
    worst = std::max(worst, std::fabs(static_cast<double>(tanh_f32(x)) - std::tanh(static_cast<double>(x))));
    REQUIRE(tanh_f32(-x) == -tanh_f32(x));
  }
  MESSAGE("worst tanh error: " << worst);
  CHECK(worst <= 2e-7);
  CHECK(tanh_f32(40.0f) == 1.0f);
  CHECK(tanh_f32(-kInfinity) == -1.0f);
  CHECK(std::signbit(tanh_f32(-0.0f)));
}

TEST_CASE("sin and cos are within 3e-16 up to 2^30") {
  Random random(54);
  double worst = 0.0;
  for (int i = 0; i < 200'000 / static_cast<int>(kCaseStride); ++i) {
    const double scale = std::ldexp(1.0, static_cast<int>(random.below(30)));
    const double x = static_cast<double>(random.uniform(-1.0f, 1.0f)) * scale;
    worst = std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(sin_f64(x)) -
                                                          std::sin(static_cast<long double>(x)))));
    worst = std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(cos_f64(x)) -
                                                          std::cos(static_cast<long double>(x)))));
  }
  MESSAGE("worst sin or cos error: " << worst);
  CHECK(worst <= 3e-16);
  CHECK(sin_f64(0.0) == 0.0);
  CHECK(cos_f64(0.0) == 1.0);
}

TEST_CASE("pow is within 1e-14 relative over the bases and exponents of RoPE") {
  Random random(55);
  double worst = 0.0;
  for (int i = 0; i < 100'000 / static_cast<int>(kCaseStride); ++i) {
    const double base = static_cast<double>(random.uniform(0.01f, 5e6f));
    const double exponent = static_cast<double>(random.uniform(-2.0f, 2.0f));
    const long double truth = std::pow(static_cast<long double>(base), static_cast<long double>(exponent));
    worst = std::max(worst, static_cast<double>(
                                std::fabs(static_cast<long double>(pow_f64(base, exponent)) / truth - 1.0L)));
  }
  MESSAGE("worst pow error: " << worst);
  CHECK(worst <= 1e-14);
  CHECK(pow_f64(10000.0, 0.0) == 1.0);
  CHECK(pow_f64(1.0, 5.0) == 1.0);
}

TEST_CASE("fma rounds once") {
  const float a = 1.0f + 0x1p-12f;
  CHECK(fma_f32(a, a, -(1.0f + 0x1p-11f)) == 0x1p-24f);
  CHECK(a * a - (1.0f + 0x1p-11f) == 0.0f);
}
