#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

// VMAXPS and VMINPS return their second operand when one is a NaN: the definition's comparisons.
__m128i quantised(__m512 x, __m512 inverse) {
  const __m512 limit = _mm512_set1_ps(kQuantisedMax);
  const __m512 above = _mm512_max_ps(_mm512_mul_ps(x, inverse), _mm512_set1_ps(-kQuantisedMax));
  return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_min_ps(above, limit)));
}

std::int32_t sum_of(__m128i values) { return _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(values)); }

void quantise_block(const float* x, std::size_t n, std::size_t block, const QuantisedRows& out) {
  const __m512 first = _mm512_maskz_loadu_ps(lanes_at(0, n), x);
  const __m512 second = n > 16 ? _mm512_maskz_loadu_ps(lanes_at(16, n), x + 16) : _mm512_setzero_ps();
  const __m512 zero = _mm512_setzero_ps();
  const __m512 magnitudes = _mm512_max_ps(_mm512_abs_ps(second), _mm512_max_ps(_mm512_abs_ps(first), zero));
  const float greatest = _mm512_reduce_max_ps(magnitudes);
  const bool tiny = greatest < kSmallestScaled;
  // Lanes past the row's end stay +0; a tiny block becomes zeros in every lane.
  const __m512 inverse = _mm512_set1_ps(kQuantisedMax / greatest);
  const __m128i q0 =
      tiny ? _mm_setzero_si128() : _mm_maskz_mov_epi8(lanes_at(0, n), quantised(first, inverse));
  const __m128i q1 =
      tiny || n <= 16 ? _mm_setzero_si128() : _mm_maskz_mov_epi8(lanes_at(16, n), quantised(second, inverse));
  std::int8_t* values = out.values + block * kActivationBlock;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values), q0);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16), q1);
  const std::int32_t t0 = sum_of(q0);
  const std::int32_t t1 = sum_of(q1);
  const float s = tiny ? 0.0f : greatest / kQuantisedMax;
  out.scales[block] = s;
  out.scaled_sums[block] = s * static_cast<float>(t0 + t1);
  out.half_sums[2 * block] = t0;
  out.half_sums[2 * block + 1] = t1;
}

}  // namespace

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out) {
  const std::size_t blocks = (out.cols + kActivationBlock - 1) / kActivationBlock;
  for (std::size_t row = 0; row < num_rows; ++row) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t begin = block * kActivationBlock;
      const std::size_t left = out.cols - begin;
      quantise_block(x + row * out.cols + begin, left < kActivationBlock ? left : kActivationBlock,
                     row * blocks + block, out);
    }
  }
}

}  // namespace shoal::avx512
