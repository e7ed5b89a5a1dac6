#pragma once

#include <arm_neon.h>

#include <cstddef>
#include <cstdint>

#include "kernels/elementary_constants.h"

// Helpers of the NEON files, a private copy in each.
namespace shoal::neon {
namespace {

inline constexpr std::size_t kLanes = 4;

// Up to four values from i on; 0 where the row has ended.
inline float32x4_t load_at(const float* x, std::size_t i, std::size_t n) {
  if (i + kLanes <= n) return vld1q_f32(x + i);
  float few[kLanes] = {};
  for (std::size_t k = 0; i + k < n; ++k) few[k] = x[i + k];
  return vld1q_f32(few);
}

inline void store_at(float* x, std::size_t i, std::size_t n, float32x4_t value) {
  if (i + kLanes <= n) {
    vst1q_f32(x + i, value);
    return;
  }
  float few[kLanes];
  vst1q_f32(few, value);
  for (std::size_t k = 0; i + k < n; ++k) x[i + k] = few[k];
}

// Lanes of a row's step at i that exist.
inline uint32x4_t lanes_at(std::size_t i, std::size_t n) {
  constexpr std::uint32_t kLane[kLanes] = {0, 1, 2, 3};
  const std::size_t left = i >= n ? 0 : n - i >= kLanes ? kLanes : n - i;
  return vcltq_u32(vld1q_u32(kLane), vdupq_n_u32(static_cast<std::uint32_t>(left)));
}

inline float32x4_t select(float32x4_t otherwise, uint32x4_t mask, float32x4_t where_set) {
  return vbslq_f32(mask, where_set, otherwise);
}

// x where it is greater, else y: FMAX would hand a NaN on, the definition's comparison does not.
inline float32x4_t greater(float32x4_t x, float32x4_t y) { return vbslq_f32(vcgtq_f32(x, y), x, y); }
inline float32x4_t smaller(float32x4_t x, float32x4_t y) { return vbslq_f32(vcltq_f32(x, y), x, y); }

inline float greatest_of(float32x4_t x) {
  const float32x4_t two = greater(x, vextq_f32(x, x, 2));
  return vgetq_lane_f32(greater(two, vextq_f32(two, two, 1)), 0);
}

// docs/ARITHMETIC.md, "Sums along a row": p[v] holds partials 4v..4v+3.
inline float sum_of_partials(const float32x4_t* p) {
  const float32x4_t four = vaddq_f32(vaddq_f32(p[0], p[2]), vaddq_f32(p[1], p[3]));
  const float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
  return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

inline float32x4_t load_f16(const std::uint16_t* from) {
  return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from)));
}

// exp_f32 of kernels/elementary.cpp, lane by lane.
inline float32x4_t exp_f32(float32x4_t x) {
  const float32x4_t magic = vdupq_n_f32(kRoundingMagic);
  const float32x4_t n = vsubq_f32(vfmaq_f32(magic, x, vdupq_n_f32(kLog2E)), magic);
  float32x4_t r = vfmaq_f32(x, n, vdupq_n_f32(-kExpLn2High));
  r = vfmaq_f32(r, n, vdupq_n_f32(-kExpLn2Low));
  float32x4_t p = vdupq_n_f32(kExp4);
  p = vfmaq_f32(vdupq_n_f32(kExp3), p, r);
  p = vfmaq_f32(vdupq_n_f32(kExp2), p, r);
  p = vfmaq_f32(vdupq_n_f32(kExp1), p, r);
  p = vfmaq_f32(vdupq_n_f32(kExp0), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
  const float32x4_t scaled =
      vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vcvtq_s32_f32(n), 23)));
  float32x4_t result = select(x, vceqq_f32(x, x), scaled);
  result = select(result, vcgtq_f32(x, vdupq_n_f32(kExpHighest)), vdupq_n_f32(__builtin_inff()));
  return select(result, vcltq_f32(x, vdupq_n_f32(kExpLowest)), vdupq_n_f32(0.0f));
}

// log_f32 for finite normal x > 0.
inline float32x4_t log_f32(float32x4_t x) {
  const int32x4_t sqrt_half = vdupq_n_s32(kSqrtHalfBits);
  const int32x4_t offset = vsubq_s32(vreinterpretq_s32_f32(x), sqrt_half);
  const float32x4_t e = vcvtq_f32_s32(vshrq_n_s32(offset, 23));
  const int32x4_t mantissa = vaddq_s32(vandq_s32(offset, vdupq_n_s32(0x7fffff)), sqrt_half);
  const float32x4_t f = vsubq_f32(vreinterpretq_f32_s32(mantissa), vdupq_n_f32(1.0f));
  float32x4_t p = vdupq_n_f32(kLog8);
  for (const float c : {kLog7, kLog6, kLog5, kLog4, kLog3, kLog2, kLog1, kLog0}) {
    p = vfmaq_f32(vdupq_n_f32(c), p, f);
  }
  const float32x4_t square = vmulq_f32(f, f);
  float32x4_t y = vmulq_f32(vmulq_f32(f, square), p);
  y = vfmaq_f32(y, e, vdupq_n_f32(kLogLn2Low));
  y = vfmaq_f32(y, vdupq_n_f32(-0.5f), square);
  return vfmaq_f32(vaddq_f32(f, y), e, vdupq_n_f32(kLogLn2High));
}

inline float32x4_t tanh_f32(float32x4_t x) {
  const float32x4_t one = vdupq_n_f32(1.0f);
  const float32x4_t two = vdupq_n_f32(2.0f);
  const float32x4_t e = exp_f32(vmulq_f32(two, vabsq_f32(x)));
  const float32x4_t magnitude = vsubq_f32(one, vdivq_f32(two, vaddq_f32(e, one)));
  return vbslq_f32(vdupq_n_u32(0x80000000u), x, magnitude);
}

}  // namespace
}  // namespace shoal::neon
