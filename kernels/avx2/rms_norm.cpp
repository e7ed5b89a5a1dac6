#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {

void rms_norm(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
              float eps) {
  for (std::size_t row = 0; row < num_rows; ++row, x += size, out += size) {
    __m256 low = _mm256_setzero_ps();
    __m256 high = _mm256_setzero_ps();
    for (std::size_t i = 0; i < size; i += 16) {  // squares are never -0: a zero lane changes no bit
      const __m256 a = load_at(x, i, size);
      const __m256 b = load_at(x, i + 8, size);
      low = _mm256_fmadd_ps(a, a, low);
      high = _mm256_fmadd_ps(b, b, high);
    }
    const float mean = sum_of_partials(low, high) / static_cast<float>(size);
    const __m256 r = _mm256_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
    for (std::size_t i = 0; i < size; i += 8) {
      store_at(out, i, size, _mm256_mul_ps(_mm256_mul_ps(load_at(x, i, size), r), load_at(weight, i, size)));
    }
  }
}

}  // namespace shoal::avx2
