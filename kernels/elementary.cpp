#include "kernels/elementary.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/elementary_constants.h"

namespace shoal {

float fma_f32(float a, float b, float c) { return std::fma(a, b, c); }

float exp_f32(float x) {
  if (x != x) return x;
  if (x < kExpLowest) return 0.0f;
  if (x > kExpHighest) return std::numeric_limits<float>::infinity();
  const float shifted = fma_f32(x, kLog2E, kRoundingMagic);
  const float n = shifted - kRoundingMagic;
  float r = fma_f32(n, -kExpLn2High, x);
  r = fma_f32(n, -kExpLn2Low, r);
  float p = kExp4;
  p = fma_f32(p, r, kExp3);
  p = fma_f32(p, r, kExp2);
  p = fma_f32(p, r, kExp1);
  p = fma_f32(p, r, kExp0);
  p = fma_f32(p, r, 1.0f);
  p = fma_f32(p, r, 1.0f);
  // p * 2^n: n goes straight into the exponent, which the limits above keep within the normal range.
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + (static_cast<std::int32_t>(n) << 23));
}

float log_f32(float x) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  if (x != x || x == kInfinity) return x;
  if (x == 0.0f) return -kInfinity;
  if (x < 0.0f) return std::numeric_limits<float>::quiet_NaN();
  float extra = 0.0f;
  if (x < std::numeric_limits<float>::min()) {  // a subnormal is scaled up first
    x *= 0x1p23f;
    extra = -23.0f;
  }
  const std::int32_t offset = std::bit_cast<std::int32_t>(x) - kSqrtHalfBits;
  const float e = static_cast<float>(offset >> 23) + extra;
  const float f = std::bit_cast<float>((offset & 0x7fffff) + kSqrtHalfBits) - 1.0f;
  float p = kLog8;
  p = fma_f32(p, f, kLog7);
  p = fma_f32(p, f, kLog6);
  p = fma_f32(p, f, kLog5);
  p = fma_f32(p, f, kLog4);
  p = fma_f32(p, f, kLog3);
  p = fma_f32(p, f, kLog2);
  p = fma_f32(p, f, kLog1);
  p = fma_f32(p, f, kLog0);
  const float square = f * f;
  float y = (f * square) * p;
  y = fma_f32(e, kLogLn2Low, y);
  y = fma_f32(-0.5f, square, y);
  return fma_f32(e, kLogLn2High, f + y);
}

float tanh_f32(float x) {
  const float e = exp_f32(2.0f * std::fabs(x));
  return std::copysign(1.0f - 2.0f / (e + 1.0f), x);
}

}  // namespace shoal
