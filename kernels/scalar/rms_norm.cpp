#include <cmath>

#include "kernels/elementary.h"
#include "kernels/scalar/kernels.h"
#include "kernels/scalar/row_sums.h"

namespace shoal::scalar {

// Source: Zhang and Sennrich 2019 (RMSNorm), eq. 4.
void rms_norm(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
              float eps) {
  for (std::size_t row = 0; row < num_rows; ++row, x += size, out += size) {
    float partials[kPartials] = {};
    for (std::size_t i = 0; i < size; ++i)
      partials[i % kPartials] = fma_f32(x[i], x[i], partials[i % kPartials]);
    const float mean = sum_of_partials(partials) / static_cast<float>(size);
    const float r = 1.0f / std::sqrt(mean + eps);
    for (std::size_t i = 0; i < size; ++i) out[i] = (x[i] * r) * weight[i];
  }
}

}  // namespace shoal::scalar
