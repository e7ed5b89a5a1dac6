#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

struct Pair {
  __m256 a;
  __m256 b;
};

// fmsub(a, cos, b*sin) rounds as fma(a, cos, -(b*sin)).
Pair rotated(Pair p, __m256 cos, __m256 sin) {
  return {_mm256_fmsub_ps(p.a, cos, _mm256_mul_ps(p.b, sin)),
          _mm256_fmadd_ps(p.a, sin, _mm256_mul_ps(p.b, cos))};
}

void rotate_halves(float* x, std::size_t half, const float* cos, const float* sin) {
  for (std::size_t i = 0; i < half; i += 8) {
    const Pair pair = {load_at(x, i, half), load_at(x + half, i, half)};
    const Pair turned = rotated(pair, load_at(cos, i, half), load_at(sin, i, half));
    store_at(x, i, half, turned.a);
    store_at(x + half, i, half, turned.b);
  }
}

// Neighbours: each vector holds 4 pairs (a, b).
void rotate_neighbours(float* x, std::size_t half, const float* cos, const float* sin) {
  const __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
  for (std::size_t i = 0; i < half; i += 4) {
    const std::size_t four = half - i < 4 ? half : i + 4;
    const __m256 c = _mm256_permutevar8x32_ps(_mm256_maskload_ps(cos + i, lanes_at(i, four)), twice);
    const __m256 s = _mm256_permutevar8x32_ps(_mm256_maskload_ps(sin + i, lanes_at(i, four)), twice);
    const __m256 v = load_at(x, 2 * i, 2 * half);
    const Pair turned = rotated({_mm256_moveldup_ps(v), _mm256_movehdup_ps(v)}, c, s);
    store_at(x, 2 * i, 2 * half, _mm256_blend_ps(turned.a, turned.b, 0xaa));
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

}  // namespace shoal::avx2
