#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    const __m512 sum =
        _mm512_add_ps(_mm512_maskz_loadu_ps(lanes, a + i), _mm512_maskz_loadu_ps(lanes, b + i));
    _mm512_mask_storeu_ps(a + i, lanes, sum);
  }
}

void scale(float* x, float s, std::size_t n) {
  const __m512 factor = _mm512_set1_ps(s);
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    _mm512_mask_storeu_ps(x + i, lanes, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), factor));
  }
}

void divide(float* x, float by, std::size_t n) {
  const __m512 divisor = _mm512_set1_ps(by);
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    _mm512_mask_storeu_ps(x + i, lanes, _mm512_div_ps(_mm512_maskz_loadu_ps(lanes, x + i), divisor));
  }
}

std::size_t find_above(const float* x, std::size_t n, float bound, std::uint32_t* places) {
  const __m512 limit = _mm512_set1_ps(bound);
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    unsigned above = _mm512_mask_cmp_ps_mask(lanes, _mm512_maskz_loadu_ps(lanes, x + i), limit, _CMP_NLE_UQ);
    for (; above != 0; above &= above - 1)
      places[count++] = static_cast<std::uint32_t>(i) + static_cast<std::uint32_t>(__builtin_ctz(above));
  }
  return count;
}

void subtract_quantised(const QuantisedRows& x, float* residual) {
  const std::size_t num_blocks = x.num_blocks();
  for (std::size_t row = 0; row < x.num_rows; ++row) {
    const float* from = x.f32 + row * x.cols;
    const std::int8_t* values = x.values + row * num_blocks * kActivationBlock;
    for (std::size_t i = 0; i < x.cols; i += 16) {
      const __mmask16 lanes = lanes_at(i, x.cols);
      const __m512 scale = _mm512_set1_ps(x.scales[row * num_blocks + i / kActivationBlock]);
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values + i));
      const __m512 value = _mm512_mul_ps(scale, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)));
      const __m512 left = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, from + i), value);
      _mm512_mask_storeu_ps(residual + row * x.cols + i, lanes, left);
    }
  }
}

}  // namespace shoal::avx512
