#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 8) store_at(a, i, n, _mm256_add_ps(load_at(a, i, n), load_at(b, i, n)));
}

void scale(float* x, float s, std::size_t n) {
  const __m256 factor = _mm256_set1_ps(s);
  for (std::size_t i = 0; i < n; i += 8) store_at(x, i, n, _mm256_mul_ps(load_at(x, i, n), factor));
}

void divide(float* x, float by, std::size_t n) {
  const __m256 divisor = _mm256_set1_ps(by);
  for (std::size_t i = 0; i < n; i += 8) store_at(x, i, n, _mm256_div_ps(load_at(x, i, n), divisor));
}

std::size_t find_above(const float* x, std::size_t n, float bound, std::uint32_t* places) {
  const __m256 limit = _mm256_set1_ps(bound);
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256 compared = _mm256_cmp_ps(load_at(x, i, n), limit, _CMP_NLE_UQ);
    auto above = static_cast<unsigned>(_mm256_movemask_ps(compared));
    if (n - i < 8) above &= (1u << (n - i)) - 1u;
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
    for (std::size_t i = 0; i < x.cols; i += 8) {
      const __m256 scale = _mm256_set1_ps(x.scales[row * num_blocks + i / kActivationBlock]);
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(values + i));
      const __m256 value = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)));
      store_at(residual + row * x.cols, i, x.cols, _mm256_sub_ps(load_at(from, i, x.cols), value));
    }
  }
}

}  // namespace shoal::avx2
