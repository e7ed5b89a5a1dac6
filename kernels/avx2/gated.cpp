#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

__m256 silu(__m256 g) {
  const __m256 negative = _mm256_xor_ps(g, _mm256_set1_ps(-0.0f));
  return _mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), exp_f32(negative)));
}

__m256 gelu(__m256 g) {
  const __m256 cube = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(kGeluC1), g), g);
  const __m256 inner = _mm256_mul_ps(_mm256_set1_ps(kGeluC0), _mm256_fmadd_ps(cube, g, g));
  return _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5f), g),
                       _mm256_add_ps(_mm256_set1_ps(1.0f), tanh_f32(inner)));
}

template <__m256 (*activation)(__m256)>
void gated(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 8) {
    store_at(out, i, n, _mm256_mul_ps(activation(load_at(gate, i, n)), load_at(up, i, n)));
  }
}

}  // namespace

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<silu>(gate, up, out, n);
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<gelu>(gate, up, out, n);
}

}  // namespace shoal::avx2
