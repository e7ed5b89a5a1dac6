#include "kernels/scalar/kernels.h"

namespace shoal::scalar {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] += b[i];
}

void scale(float* x, float s, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) x[i] *= s;
}

}  // namespace shoal::scalar
