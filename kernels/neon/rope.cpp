#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

struct Pair {
  float32x4_t a;
  float32x4_t b;
};

Pair rotated(Pair p, float32x4_t cos, float32x4_t sin) {
  return {vfmaq_f32(vnegq_f32(vmulq_f32(p.b, sin)), p.a, cos), vfmaq_f32(vmulq_f32(p.b, cos), p.a, sin)};
}

void rotate_halves(float* x, std::size_t half, const float* cos, const float* sin) {
  for (std::size_t i = 0; i < half; i += kLanes) {
    const Pair pair = {load_at(x, i, half), load_at(x + half, i, half)};
    const Pair turned = rotated(pair, load_at(cos, i, half), load_at(sin, i, half));
    store_at(x, i, half, turned.a);
    store_at(x + half, i, half, turned.b);
  }
}

// Neighbours: four pairs (a, b) lie in eight floats.
void rotate_neighbours(float* x, std::size_t half, const float* cos, const float* sin) {
  for (std::size_t i = 0; i < half; i += kLanes) {
    const float32x4x2_t pairs = vuzpq_f32(load_at(x, 2 * i, 2 * half), load_at(x, 2 * i + kLanes, 2 * half));
    const Pair turned = rotated({pairs.val[0], pairs.val[1]}, load_at(cos, i, half), load_at(sin, i, half));
    const float32x4x2_t neighbours = vzipq_f32(turned.a, turned.b);
    store_at(x, 2 * i, 2 * half, neighbours.val[0]);
    store_at(x, 2 * i + kLanes, 2 * half, neighbours.val[1]);
  }
}

}  // namespace

void rope(float* x, std::size_t num_heads, std::size_t head_dim, std::size_t dim, const float* cos,
          const float* sin, bool interleaved) {
  for (std::size_t head = 0; head < num_heads; ++head, x += head_dim) {
    if (interleaved) {
      rotate_neighbours(x, dim / 2, cos, sin);
    } else {
      rotate_halves(x, dim / 2, cos, sin);
    }
  }
}

}  // namespace shoal::neon
