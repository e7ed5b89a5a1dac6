#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

// exp(x - max) of the lanes at i, 0 past the end: adding +0 to a partial that is never -0 changes no bit.
__m256 weights_at(const float* x, std::size_t i, std::size_t n, __m256 max) {
  const __m256 weight = exp_f32(_mm256_sub_ps(load_at(x, i, n), max));
  return _mm256_and_ps(weight, _mm256_castsi256_ps(lanes_at(i, n)));
}

}  // namespace

MaxSum max_sum(const float* x, std::size_t n) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 greatest = lowest;
  for (std::size_t i = 0; i < n; i += 8) {
    const __m256 seen = select(lowest, _mm256_castsi256_ps(lanes_at(i, n)), load_at(x, i, n));
    greatest = _mm256_max_ps(seen, greatest);
  }
  const float max = greatest_of(greatest) + 0.0f;  // of two zeros the greatest is +0
  __m256 low = _mm256_setzero_ps();
  __m256 high = _mm256_setzero_ps();
  for (std::size_t i = 0; i < n; i += 16) {
    low = _mm256_add_ps(low, weights_at(x, i, n, _mm256_set1_ps(max)));
    high = _mm256_add_ps(high, weights_at(x, i + 8, n, _mm256_set1_ps(max)));
  }
  return {max, sum_of_partials(low, high)};
}

}  // namespace shoal::avx2
