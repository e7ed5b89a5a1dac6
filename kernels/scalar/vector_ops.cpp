#include "kernels/scalar/kernels.h"

namespace shoal::scalar {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] += b[i];
}

void scale(float* x, float s, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= s;
}

void divide(float* x, float by, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] /= by;
}

std::size_t find_above(const float* x, std::size_t n, float bound, std::uint32_t* places) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; ++i) {
    if (!(x[i] <= bound)) places[count++] = static_cast<std::uint32_t>(i);
  }
  return count;
}

void subtract_quantised(const QuantisedRows& x, float* residual) {
  const std::size_t num_blocks = x.num_blocks();
  for (std::size_t row = 0; row < x.num_rows; ++row) {
    for (std::size_t i = 0; i < x.cols; ++i) {
      const std::size_t block = row * num_blocks + i / kActivationBlock;
      const std::int8_t value = x.values[block * kActivationBlock + i % kActivationBlock];
      residual[row * x.cols + i] = x.f32[row * x.cols + i] - x.scales[block] * static_cast<float>(value);
    }
  }
}

}  // namespace shoal::scalar
