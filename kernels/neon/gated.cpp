#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

float32x4_t silu(float32x4_t g) { return vdivq_f32(g, vaddq_f32(vdupq_n_f32(1.0f), exp_f32(vnegq_f32(g)))); }

float32x4_t gelu(float32x4_t g) {
  const float32x4_t cube = vmulq_f32(vmulq_f32(vdupq_n_f32(kGeluC1), g), g);
  const float32x4_t inner = vmulq_f32(vdupq_n_f32(kGeluC0), vfmaq_f32(g, cube, g));
  return vmulq_f32(vmulq_f32(vdupq_n_f32(0.5f), g), vaddq_f32(vdupq_n_f32(1.0f), tanh_f32(inner)));
}

template <float32x4_t (*activation)(float32x4_t)>
void gated(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes) {
    store_at(out, i, n, vmulq_f32(activation(load_at(gate, i, n)), load_at(up, i, n)));
  }
}

}  // namespace

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<silu>(gate, up, out, n);
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  gated<gelu>(gate, up, out, n);
}

}  // namespace shoal::neon
