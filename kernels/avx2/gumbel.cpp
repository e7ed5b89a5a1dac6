#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

// Eight counters at a time, word by word.
struct Words {
  __m256i w[4];
};

struct Product {
  __m256i high;
  __m256i low;
};

Product multiply(__m256i a, std::uint32_t by) {
  const __m256i factor = _mm256_set1_epi64x(by);
  const __m256i even = _mm256_mul_epu32(a, factor);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a, 32), factor);
  return {_mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa),
          _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa)};
}

Words philox(Words c, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Product p0 = multiply(c.w[0], kPhiloxMultiplier0);
    const Product p1 = multiply(c.w[2], kPhiloxMultiplier1);
    const __m256i k0 = _mm256_set1_epi32(static_cast<int>(key0));
    const __m256i k1 = _mm256_set1_epi32(static_cast<int>(key1));
    c = {{_mm256_xor_si256(_mm256_xor_si256(p1.high, c.w[1]), k0), p1.low,
          _mm256_xor_si256(_mm256_xor_si256(p0.high, c.w[3]), k1), p0.low}};
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

__m256 gumbel_of(__m256i bits) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  const __m256 whole = _mm256_cvtepi32_ps(_mm256_srli_epi32(bits, 9));
  const __m256 u = _mm256_mul_ps(_mm256_add_ps(whole, _mm256_set1_ps(0.5f)), _mm256_set1_ps(0x1p-23f));
  return _mm256_xor_ps(sign, log_f32(_mm256_xor_ps(sign, log_f32(u))));
}

// Word w of counter c belongs to id 4c + w: a 4 x 8 transposition.
void store_transposed(const Words& words, float* noise) {
  const __m256i low01 = _mm256_unpacklo_epi32(words.w[0], words.w[1]);
  const __m256i high01 = _mm256_unpackhi_epi32(words.w[0], words.w[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(words.w[2], words.w[3]);
  const __m256i high23 = _mm256_unpackhi_epi32(words.w[2], words.w[3]);
  // Each 128-bit half L of counter[k] now holds the four words of counter 4L + k.
  const __m256i counter[4] = {_mm256_unpacklo_epi64(low01, low23), _mm256_unpackhi_epi64(low01, low23),
                              _mm256_unpacklo_epi64(high01, high23), _mm256_unpackhi_epi64(high01, high23)};
  _mm256_storeu_ps(noise, gumbel_of(_mm256_permute2x128_si256(counter[0], counter[1], 0x20)));
  _mm256_storeu_ps(noise + 8, gumbel_of(_mm256_permute2x128_si256(counter[2], counter[3], 0x20)));
  _mm256_storeu_ps(noise + 16, gumbel_of(_mm256_permute2x128_si256(counter[0], counter[1], 0x31)));
  _mm256_storeu_ps(noise + 24, gumbel_of(_mm256_permute2x128_si256(counter[2], counter[3], 0x31)));
}

}  // namespace

void gumbel(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise, std::size_t n) {
  const __m256i steps = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i zero = _mm256_setzero_si256();
  float tail[32];
  for (std::size_t i = 0; i < n; i += 32) {
    const std::uint32_t counter = first_id / 4 + static_cast<std::uint32_t>(i / 4);
    const Words start = {{_mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(counter)), steps),
                          _mm256_set1_epi32(static_cast<int>(position)), zero, zero}};
    const Words words =
        philox(start, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    const bool whole = n - i >= 32;
    store_transposed(words, whole ? noise + i : tail);
    for (std::size_t k = 0; !whole && k < n - i; ++k) noise[i + k] = tail[k];
  }
}

}  // namespace shoal::avx2
