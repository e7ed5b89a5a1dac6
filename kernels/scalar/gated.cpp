#include "kernels/elementary.h"
#include "kernels/elementary_constants.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

float silu(float g) { return g / (1.0f + exp_f32(-g)); }

// The tanh form of Hendrycks and Gimpel 2016.
float gelu(float g) {
  const float cube = (kGeluC1 * g) * g;
  return (0.5f * g) * (1.0f + tanh_f32(kGeluC0 * fma_f32(cube, g, g)));
}

}  // namespace

void silu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = silu(gate[i]) * up[i];
}

void gelu_mul(const float* gate, const float* up, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = gelu(gate[i]) * up[i];
}

}  // namespace shoal::scalar
