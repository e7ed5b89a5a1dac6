#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/elementary_constants.h"

// Helpers of the AVX-512 files, a private copy in each.
namespace shoal::avx512 {
namespace {

// The first n lanes; n <= 16.
inline __mmask16 first_lanes(std::size_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

// The lanes of a row's step at i that exist.
inline __mmask16 lanes_at(std::size_t i, std::size_t n) {
  return n - i >= 16 ? static_cast<__mmask16>(0xffff) : first_lanes(n - i);
}

// docs/ARITHMETIC.md, "Sums along a row": p[k] += p[k+8], then +4, +2, +1.
inline float sum_of_partials(__m512 p) {
  const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(p), _mm512_extractf32x8_ps(p, 1));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// exp_f32 of kernels/elementary.cpp, lane by lane.
inline __m512 exp_f32(__m512 x) {
  const __m512 magic = _mm512_set1_ps(kRoundingMagic);
  const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(kLog2E), magic), magic);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2High), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2Low), r);
  __m512 p = _mm512_set1_ps(kExp4);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp1));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp0));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __m512i scaled =
      _mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23));
  const __mmask16 small = _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpLowest), _CMP_LT_OQ);
  const __mmask16 large = _mm512_cmp_ps_mask(x, _mm512_set1_ps(kExpHighest), _CMP_GT_OQ);
  const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
  __m512 result = _mm512_mask_mov_ps(_mm512_castsi512_ps(scaled), nan, x);
  result = _mm512_mask_mov_ps(result, large, _mm512_set1_ps(__builtin_inff()));
  return _mm512_mask_mov_ps(result, small, _mm512_setzero_ps());
}

// exp_f32 for x <= 0 (or NaN), 0 where the lane is not asked for.
inline __m512 exp_not_positive(__mmask16 lanes, __m512 x) {
  const __m512 magic = _mm512_set1_ps(kRoundingMagic);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(kLog2E), magic);
  const __m512 n = _mm512_sub_ps(shifted, magic);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2High), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2Low), r);
  __m512 p = _mm512_set1_ps(kExp4);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp1));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp0));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __mmask16 normal = _mm512_mask_cmp_ps_mask(lanes, x, _mm512_set1_ps(kExpLowest), _CMP_NLT_UQ);
  // A NaN stays one: its shifted integer is 0 as well.
  const __m512i power = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
  return _mm512_castsi512_ps(_mm512_maskz_add_epi32(normal, _mm512_castps_si512(p), power));
}

// log_f32 for finite normal x > 0.
inline __m512 log_f32(__m512 x) {
  const __m512i sqrt_half = _mm512_set1_epi32(kSqrtHalfBits);
  const __m512i offset = _mm512_sub_epi32(_mm512_castps_si512(x), sqrt_half);
  const __m512 e = _mm512_cvtepi32_ps(_mm512_srai_epi32(offset, 23));
  const __m512i mantissa = _mm512_add_epi32(_mm512_and_si512(offset, _mm512_set1_epi32(0x7fffff)), sqrt_half);
  const __m512 f = _mm512_sub_ps(_mm512_castsi512_ps(mantissa), _mm512_set1_ps(1.0f));
  __m512 p = _mm512_set1_ps(kLog8);
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog7));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog6));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog5));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog4));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog3));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog2));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog1));
  p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(kLog0));
  const __m512 square = _mm512_mul_ps(f, f);
  __m512 y = _mm512_mul_ps(_mm512_mul_ps(f, square), p);
  y = _mm512_fmadd_ps(e, _mm512_set1_ps(kLogLn2Low), y);
  y = _mm512_fmadd_ps(_mm512_set1_ps(-0.5f), square, y);
  return _mm512_fmadd_ps(e, _mm512_set1_ps(kLogLn2High), _mm512_add_ps(f, y));
}

inline __m512 tanh_f32(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 two = _mm512_set1_ps(2.0f);
  const __m512 e = exp_f32(_mm512_mul_ps(two, _mm512_abs_ps(x)));
  const __m512 magnitude = _mm512_sub_ps(one, _mm512_div_ps(two, _mm512_add_ps(e, one)));
  const __m512 sign = _mm512_set1_ps(-0.0f);
  return _mm512_or_ps(_mm512_and_ps(sign, x), _mm512_andnot_ps(sign, magnitude));
}

}  // namespace
}  // namespace shoal::avx512
