#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {

void rms_norm(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
              float eps) {
  for (std::size_t row = 0; row < num_rows; ++row, x += size, out += size) {
    __m512 partials = _mm512_setzero_ps();
    for (std::size_t i = 0; i < size; i += 16) {
      const __m512 v = _mm512_maskz_loadu_ps(lanes_at(i, size), x + i);
      partials = _mm512_fmadd_ps(v, v, partials);  // squares are never -0: a zero lane changes no bit
    }
    const float mean = sum_of_partials(partials) / static_cast<float>(size);
    const __m512 r = _mm512_set1_ps(1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean + eps))));
    for (std::size_t i = 0; i < size; i += 16) {
      const __mmask16 lanes = lanes_at(i, size);
      const __m512 scaled = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, x + i), r);
      _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(scaled, _mm512_maskz_loadu_ps(lanes, weight + i)));
    }
  }
}

}  // namespace shoal::avx512
