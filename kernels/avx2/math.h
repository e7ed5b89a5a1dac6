#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/elementary_constants.h"

// Helpers of the AVX2 files, a private copy in each.
namespace shoal::avx2 {
namespace {

// Lanes of a row's step at i that exist: all eight, or fewer at the row's end, or none past it.
inline __m256i lanes_at(std::size_t i, std::size_t n) {
  const std::size_t left = i >= n ? 0 : n - i >= 8 ? 8 : n - i;
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(left)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Up to eight values from i on; 0 where the row has ended.
inline __m256 load_at(const float* x, std::size_t i, std::size_t n) {
  return i + 8 <= n ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, lanes_at(i, n));
}

inline void store_at(float* x, std::size_t i, std::size_t n, __m256 value) {
  if (i + 8 <= n) {
    _mm256_storeu_ps(x + i, value);
  } else {
    _mm256_maskstore_ps(x + i, lanes_at(i, n), value);
  }
}

inline __m256 select(__m256 otherwise, __m256 mask, __m256 where_set) {
  return _mm256_blendv_ps(otherwise, where_set, mask);
}

// docs/ARITHMETIC.md, "Sums along a row": low holds partials 0..7, high 8..15.
inline float sum_of_partials(__m256 low, __m256 high) {
  const __m256 eight = _mm256_add_ps(low, high);
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

inline float greatest_of(__m256 x) {
  const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

inline __m256 absolute(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }

// exp_f32 of kernels/elementary.cpp, lane by lane.
inline __m256 exp_f32(__m256 x) {
  const __m256 magic = _mm256_set1_ps(kRoundingMagic);
  const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(kLog2E), magic), magic);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2High), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2Low), r);
  __m256 p = _mm256_set1_ps(kExp4);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp1));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp0));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  const __m256i scaled =
      _mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23));
  const __m256 small = _mm256_cmp_ps(x, _mm256_set1_ps(kExpLowest), _CMP_LT_OQ);
  const __m256 large = _mm256_cmp_ps(x, _mm256_set1_ps(kExpHighest), _CMP_GT_OQ);
  const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
  __m256 result = select(_mm256_castsi256_ps(scaled), nan, x);
  result = select(result, large, _mm256_set1_ps(__builtin_inff()));
  return _mm256_andnot_ps(small, result);
}

// log_f32 for finite normal x > 0.
inline __m256 log_f32(__m256 x) {
  const __m256i sqrt_half = _mm256_set1_epi32(kSqrtHalfBits);
  const __m256i offset = _mm256_sub_epi32(_mm256_castps_si256(x), sqrt_half);
  const __m256 e = _mm256_cvtepi32_ps(_mm256_srai_epi32(offset, 23));
  const __m256i mantissa = _mm256_add_epi32(_mm256_and_si256(offset, _mm256_set1_epi32(0x7fffff)), sqrt_half);
  const __m256 f = _mm256_sub_ps(_mm256_castsi256_ps(mantissa), _mm256_set1_ps(1.0f));
  __m256 p = _mm256_set1_ps(kLog8);
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog7));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog6));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog5));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog4));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog3));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog2));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog1));
  p = _mm256_fmadd_ps(p, f, _mm256_set1_ps(kLog0));
  const __m256 square = _mm256_mul_ps(f, f);
  __m256 y = _mm256_mul_ps(_mm256_mul_ps(f, square), p);
  y = _mm256_fmadd_ps(e, _mm256_set1_ps(kLogLn2Low), y);
  y = _mm256_fmadd_ps(_mm256_set1_ps(-0.5f), square, y);
  return _mm256_fmadd_ps(e, _mm256_set1_ps(kLogLn2High), _mm256_add_ps(f, y));
}

inline __m256 tanh_f32(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 two = _mm256_set1_ps(2.0f);
  const __m256 e = exp_f32(_mm256_mul_ps(two, absolute(x)));
  const __m256 magnitude = _mm256_sub_ps(one, _mm256_div_ps(two, _mm256_add_ps(e, one)));
  const __m256 sign = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_and_ps(sign, x), _mm256_andnot_ps(sign, magnitude));
}

}  // namespace
}  // namespace shoal::avx2
