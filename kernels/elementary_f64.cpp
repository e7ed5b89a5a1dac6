#include <bit>
#include <cmath>
#include <cstdint>

#include "base/check.h"
#include "kernels/elementary.h"

// Series rather than libm: every machine must make the same tables. std::fma, rint-by-magic and division are
// exact operations of IEEE-754 and so the same everywhere.
namespace shoal {
namespace {

constexpr double kMagic = 0x1.8p52;  // adding it rounds to an integer, ties to even

double round_to_integer(double x) { return (x + kMagic) - kMagic; }

// 2^n for n in the normal range.
double power_of_two(std::int64_t n) {
  return std::bit_cast<double>(static_cast<std::uint64_t>(n + 1023) << 52);
}

// Taylor's series for |r| <= pi/4; the first term left out is below 1e-19.
double sin_series(double r) {
  const double square = r * r;
  double term_sum = 0.0;
  for (int n = 17; n >= 3; n -= 2) {  // 1/(n(n-1)) nested: r - r^3/3! + r^5/5! ...
    term_sum = (square / static_cast<double>(n * (n - 1))) * (1.0 - term_sum);
  }
  return std::fma(-r, term_sum, r);
}

double cos_series(double r) {
  const double square = r * r;
  double term_sum = 0.0;
  for (int n = 18; n >= 2; n -= 2) {
    term_sum = (square / static_cast<double>(n * (n - 1))) * (1.0 - term_sum);
  }
  return 1.0 - term_sum;
}

struct Quadrant {
  double r;     // in [-pi/4, pi/4]
  int quarter;  // x = r + quarter * pi/2 (mod 2 pi)
};

// Cody and Waite's reduction with fused steps: pi/2 as a sum of three doubles.
Quadrant reduce(double x) {
  SHOAL_CHECK(x > -0x1p30 && x < 0x1p30);
  const double k = round_to_integer(x * 0x1.45f306dc9c883p-1);
  double r = std::fma(-k, 0x1.921fb54442d18p+0, x);
  r = std::fma(-k, 0x1.1a62633145c07p-54, r);
  r = std::fma(-k, -0x1.f1976b7ed8fbcp-110, r);
  return {r, static_cast<int>(static_cast<std::int64_t>(k) & 3)};
}

// log(x) as a sum high + low, so that pow keeps its digits.
double log_f64(double x) {
  const std::int64_t bits = std::bit_cast<std::int64_t>(x);
  const std::int64_t offset = bits - 0x3fe6a09e667f3bcd;  // sqrt(1/2)
  const double e = static_cast<double>(offset >> 52);
  const double m = std::bit_cast<double>((offset & 0xfffffffffffff) + 0x3fe6a09e667f3bcd);
  const double s = (m - 1.0) / (m + 1.0);  // log(m) = 2 artanh(s), |s| <= 0.172
  const double square = s * s;
  double series = 0.0;
  for (int n = 23; n >= 3; n -= 2) series = square * (1.0 / static_cast<double>(n) + series);
  return std::fma(e, 0x1.62e42fefa39efp-1, 2.0 * std::fma(s, series, s) + e * 0x1.abc9e3b39803fp-56);
}

double exp_f64(double x) {
  SHOAL_CHECK(x > -700.0 && x < 700.0);
  const double n = round_to_integer(x * 0x1.71547652b82fep+0);
  double r = std::fma(n, -0x1.62e42fefa39efp-1, x);
  r = std::fma(n, -0x1.abc9e3b39803fp-56, r);
  double series = 1.0;
  for (int k = 16; k >= 1; --k) series = 1.0 + (r / static_cast<double>(k)) * series;
  return series * power_of_two(static_cast<std::int64_t>(n));
}

}  // namespace

double sin_f64(double x) {
  const Quadrant q = reduce(x);
  const double value = (q.quarter & 1) == 0 ? sin_series(q.r) : cos_series(q.r);
  return (q.quarter & 2) == 0 ? value : -value;
}

double cos_f64(double x) {
  const Quadrant q = reduce(x);
  const double value = (q.quarter & 1) == 0 ? cos_series(q.r) : sin_series(q.r);
  return ((q.quarter + 1) & 2) == 0 ? value : -value;
}

double pow_f64(double base, double exponent) {
  SHOAL_CHECK(base > 0.0);
  if (exponent == 0.0) return 1.0;
  return exp_f64(exponent * log_f64(base));
}

}  // namespace shoal
