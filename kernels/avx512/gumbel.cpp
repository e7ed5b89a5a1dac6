#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

// Sixteen counters at a time, word by word.
struct Words {
  __m512i w[4];
};

struct Product {
  __m512i high;
  __m512i low;
};

Product multiply(__m512i a, std::uint32_t by) {
  const __m512i factor = _mm512_set1_epi64(by);
  const __m512i even = _mm512_mul_epu32(a, factor);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a, 32), factor);
  return {_mm512_mask_mov_epi32(_mm512_srli_epi64(even, 32), 0xaaaa, odd),
          _mm512_mask_mov_epi32(even, 0xaaaa, _mm512_slli_epi64(odd, 32))};
}

Words philox(Words c, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Product p0 = multiply(c.w[0], kPhiloxMultiplier0);
    const Product p1 = multiply(c.w[2], kPhiloxMultiplier1);
    const __m512i k0 = _mm512_set1_epi32(static_cast<int>(key0));
    const __m512i k1 = _mm512_set1_epi32(static_cast<int>(key1));
    c = {{_mm512_xor_si512(_mm512_xor_si512(p1.high, c.w[1]), k0), p1.low,
          _mm512_xor_si512(_mm512_xor_si512(p0.high, c.w[3]), k1), p0.low}};
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

__m512 gumbel_of(__m512i bits) {
  const __m512 sign = _mm512_set1_ps(-0.0f);
  const __m512 whole = _mm512_cvtepi32_ps(_mm512_srli_epi32(bits, 9));
  const __m512 u = _mm512_mul_ps(_mm512_add_ps(whole, _mm512_set1_ps(0.5f)), _mm512_set1_ps(0x1p-23f));
  return _mm512_xor_ps(sign, log_f32(_mm512_xor_ps(sign, log_f32(u))));
}

// Word w of counter c belongs to id 4c + w: a 4 x 16 transposition.
void store_transposed(const Words& words, float* noise) {
  const __m512i low01 = _mm512_unpacklo_epi32(words.w[0], words.w[1]);
  const __m512i high01 = _mm512_unpackhi_epi32(words.w[0], words.w[1]);
  const __m512i low23 = _mm512_unpacklo_epi32(words.w[2], words.w[3]);
  const __m512i high23 = _mm512_unpackhi_epi32(words.w[2], words.w[3]);
  // Each 128-bit lane L of counter[k] now holds the four words of counter 4L + k.
  const __m512i counter[4] = {_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
                              _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)};
  const __m512i a = _mm512_shuffle_i32x4(counter[0], counter[1], 0x44);
  const __m512i b = _mm512_shuffle_i32x4(counter[2], counter[3], 0x44);
  const __m512i c = _mm512_shuffle_i32x4(counter[0], counter[1], 0xee);
  const __m512i d = _mm512_shuffle_i32x4(counter[2], counter[3], 0xee);
  _mm512_storeu_ps(noise, gumbel_of(_mm512_shuffle_i32x4(a, b, 0x88)));
  _mm512_storeu_ps(noise + 16, gumbel_of(_mm512_shuffle_i32x4(a, b, 0xdd)));
  _mm512_storeu_ps(noise + 32, gumbel_of(_mm512_shuffle_i32x4(c, d, 0x88)));
  _mm512_storeu_ps(noise + 48, gumbel_of(_mm512_shuffle_i32x4(c, d, 0xdd)));
}

}  // namespace

void gumbel(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise, std::size_t n) {
  const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i zero = _mm512_setzero_si512();
  float tail[64];
  for (std::size_t i = 0; i < n; i += 64) {
    const std::uint32_t counter = first_id / 4 + static_cast<std::uint32_t>(i / 4);
    const Words start = {{_mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(counter)), steps),
                          _mm512_set1_epi32(static_cast<int>(position)), zero, zero}};
    const Words words =
        philox(start, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    const bool whole = n - i >= 64;
    store_transposed(words, whole ? noise + i : tail);
    for (std::size_t k = 0; !whole && k < n - i; ++k) noise[i + k] = tail[k];
  }
}

}  // namespace shoal::avx512
