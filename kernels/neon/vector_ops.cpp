#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes)
    store_at(a, i, n, vaddq_f32(load_at(a, i, n), load_at(b, i, n)));
}

void scale(float* x, float s, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes) store_at(x, i, n, vmulq_f32(load_at(x, i, n), vdupq_n_f32(s)));
}

}  // namespace shoal::neon
