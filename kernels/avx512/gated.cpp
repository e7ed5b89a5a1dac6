#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

__m512 silu(__m512 g) {
  const __m512 negative = _mm512_xor_ps(g, _mm512_set1_ps(-0.0f));
  return _mm512_div_ps(g, _mm512_add_ps(_mm512_set1_ps(1.0f), exp_f32(negative)));
}

__m512 gelu(__m512 g) {
  const __m512 cube = _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(kGeluC1), g), g);
  const __m512 inner = _mm512_mul_ps(_mm512_set1_ps(kGeluC0), _mm512_fmadd_ps(cube, g, g));
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), g),
                       _mm512_add_ps(_mm512_set1_ps(1.0f), tanh_f32(inner)));
}

template <__m512 (*activation)(__m512)>
void gated(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += 16) {
    const __mmask16 lanes = lanes_at(i, n);
    const __m512 activated = activation(_mm512_maskz_loadu_ps(lanes, gate + i));
    _mm512_mask_storeu_ps(out + i, lanes, _mm512_mul_ps(activated, _mm512_maskz_loadu_ps(lanes, up + i)));
  }
}

}  // namespace

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<silu>(gate, up, out, n);
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<gelu>(gate, up, out, n);
}

}  // namespace shoal::avx512
