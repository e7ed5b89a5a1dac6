#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {

MaxSum max_sum(const float* x, std::size_t n) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 greatest = lowest;
  for (std::size_t i = 0; i < n; i += 16) {
    greatest = _mm512_max_ps(_mm512_mask_loadu_ps(lowest, lanes_at(i, n), x + i), greatest);
  }
  const float max = _mm512_reduce_max_ps(greatest) + 0.0f;  // of two zeros the greatest is +0
  __m512 partials = _mm512_setzero_ps();
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    const __m512 below = _mm512_sub_ps(_mm512_maskz_loadu_ps(lanes, x + i), _mm512_set1_ps(max));
    partials = _mm512_mask_add_ps(partials, lanes, partials, exp_not_positive(lanes, below));
  }
  return {max, sum_of_partials(partials)};
}

}  // namespace shoal::avx512
