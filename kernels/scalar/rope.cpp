#include "kernels/elementary.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {

// Source: Su et al. 2021 (RoFormer), eq. 34.
void rope(float* x, std::size_t num_heads, std::size_t head_dim, std::size_t dim, const float* cos,
          const float* sin, bool interleaved) {
  for (std::size_t head = 0; head < num_heads; ++head, x += head_dim) {
    for (std::size_t i = 0; i < dim / 2; ++i) {
      float& first = x[interleaved ? 2 * i : i];
      float& second = x[interleaved ? 2 * i + 1 : i + dim / 2];
      const float a = first;
      const float b = second;
      first = fma_f32(a, cos[i], -(b * sin[i]));
      second = fma_f32(a, sin[i], b * cos[i]);
    }
  }
}

}  // namespace shoal::scalar
