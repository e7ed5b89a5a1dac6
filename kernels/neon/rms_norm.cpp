#include <cmath>

#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {

void rms_norm(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
              float eps) {
  for (std::size_t row = 0; row < num_rows; ++row, x += size, out += size) {
    float32x4_t p[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    for (std::size_t i = 0; i < size; i += 16) {  // squares are never -0: a zero lane changes no bit
      for (std::size_t v = 0; v < 4; ++v) {
        const float32x4_t a = load_at(x, i + v * kLanes, size);
        p[v] = vfmaq_f32(p[v], a, a);
      }
    }
    const float mean = sum_of_partials(p) / static_cast<float>(size);
    const float32x4_t r = vdupq_n_f32(1.0f / std::sqrt(mean + eps));
    for (std::size_t i = 0; i < size; i += kLanes) {
      store_at(out, i, size, vmulq_f32(vmulq_f32(load_at(x, i, size), r), load_at(weight, i, size)));
    }
  }
}

}  // namespace shoal::neon
