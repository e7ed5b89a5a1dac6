#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

// exp(x - max) of the lanes at i, 0 past the end: adding +0 to a partial that is never -0 changes no bit.
float32x4_t weights_at(const float* x, std::size_t i, std::size_t n, float32x4_t max) {
  return select(vdupq_n_f32(0.0f), lanes_at(i, n), exp_f32(vsubq_f32(load_at(x, i, n), max)));
}

}  // namespace

MaxSum max_sum(const float* x, std::size_t n) {
  const float32x4_t lowest = vdupq_n_f32(-__builtin_inff());
  float32x4_t greatest = lowest;
  for (std::size_t i = 0; i < n; i += kLanes) {
    greatest = greater(select(lowest, lanes_at(i, n), load_at(x, i, n)), greatest);
  }
  const float max = greatest_of(greatest) + 0.0f;  // of two zeros the greatest is +0
  float32x4_t p[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
  for (std::size_t i = 0; i < n; i += 16) {
    for (std::size_t v = 0; v < 4; ++v) {
      p[v] = vaddq_f32(p[v], weights_at(x, i + v * kLanes, n, vdupq_n_f32(max)));
    }
  }
  return {max, sum_of_partials(p)};
}

}  // namespace shoal::neon
