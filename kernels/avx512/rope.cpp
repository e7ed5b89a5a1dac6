#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

struct Pair {
  __m512 a;
  __m512 b;
};

// fmsub(a, cos, b*sin) rounds as fma(a, cos, -(b*sin)).
Pair rotated(Pair p, __m512 cos, __m512 sin) {
  return {_mm512_fmsub_ps(p.a, cos, _mm512_mul_ps(p.b, sin)),
          _mm512_fmadd_ps(p.a, sin, _mm512_mul_ps(p.b, cos))};
}

void rotate_halves(float* x, std::size_t half, const float* cos, const float* sin) {
  for (std::size_t i = 0; i < half; i += 16) {
    const __mmask16 lanes = lanes_at(i, half);
    const Pair pair = {_mm512_maskz_loadu_ps(lanes, x + i), _mm512_maskz_loadu_ps(lanes, x + half + i)};
    const Pair turned =
        rotated(pair, _mm512_maskz_loadu_ps(lanes, cos + i), _mm512_maskz_loadu_ps(lanes, sin + i));
    _mm512_mask_storeu_ps(x + i, lanes, turned.a);
    _mm512_mask_storeu_ps(x + half + i, lanes, turned.b);
  }
}

// Neighbours: each vector holds 8 pairs (a, b), beside it the same pairs swapped.
void rotate_neighbours(float* x, std::size_t half, const float* cos, const float* sin) {
  const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  for (std::size_t i = 0; i < half; i += 8) {
    const std::size_t pairs = half - i < 8 ? half - i : 8;
    const __mmask16 lanes = first_lanes(2 * pairs);
    const __m512 c = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(first_lanes(pairs), cos + i));
    const __m512 s = _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(first_lanes(pairs), sin + i));
    const __m512 v = _mm512_maskz_loadu_ps(lanes, x + 2 * i);
    const Pair pair = {_mm512_moveldup_ps(v), _mm512_movehdup_ps(v)};
    const Pair turned = rotated(pair, c, s);
    _mm512_mask_storeu_ps(x + 2 * i, lanes, _mm512_mask_mov_ps(turned.a, 0xaaaa, turned.b));
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

}  // namespace shoal::avx512
