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

}  // namespace shoal::avx512
