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

}  // namespace shoal::avx2
