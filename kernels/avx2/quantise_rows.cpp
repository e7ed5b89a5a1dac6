#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

// VMAXPS and VMINPS return their second operand when one is a NaN: the definition's comparisons. Lanes past
// the row's end hold 0 and stay 0, even where 0 * inverse is a NaN.
__m256i quantised(__m256 x, __m256 inverse, __m256i lanes) {
  const __m256 above = _mm256_max_ps(_mm256_mul_ps(x, inverse), _mm256_set1_ps(-kQuantisedMax));
  return _mm256_and_si256(lanes, _mm256_cvtps_epi32(_mm256_min_ps(above, _mm256_set1_ps(kQuantisedMax))));
}

std::int32_t sum_of(__m256i x) {
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

// Four vectors of eight int32 to 32 int8 in order.
__m256i packed(const __m256i* q) {
  const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
  return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

void quantise_block(const float* x, std::size_t n, std::size_t block, const QuantisedRows& out) {
  __m256 v[4];
  __m256 magnitudes = _mm256_setzero_ps();
  for (std::size_t i = 0; i < 4; ++i) {
    v[i] = _mm256_maskload_ps(x + 8 * i, lanes_at(8 * i, n));
    magnitudes = _mm256_max_ps(absolute(v[i]), magnitudes);
  }
  const float greatest = greatest_of(magnitudes);
  const bool tiny = greatest < kSmallestScaled;
  const __m256 inverse = _mm256_set1_ps(kQuantisedMax / greatest);
  __m256i q[4];
  for (std::size_t i = 0; i < 4; ++i) {
    q[i] = tiny ? _mm256_setzero_si256() : quantised(v[i], inverse, lanes_at(8 * i, n));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.values + block * kActivationBlock), packed(q));
  const std::int32_t t0 = sum_of(_mm256_add_epi32(q[0], q[1]));
  const std::int32_t t1 = sum_of(_mm256_add_epi32(q[2], q[3]));
  const float s = tiny ? 0.0f : greatest / kQuantisedMax;
  out.scales[block] = s;
  out.scaled_sums[block] = s * static_cast<float>(t0 + t1);
  out.half_sums[2 * block] = t0;
  out.half_sums[2 * block + 1] = t1;
}

}  // namespace

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out) {
  const std::size_t blocks = (out.cols + kActivationBlock - 1) / kActivationBlock;
  for (std::size_t row = 0; row < num_rows; ++row) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t begin = block * kActivationBlock;
      const std::size_t left = out.cols - begin;
      quantise_block(x + row * out.cols + begin, left < kActivationBlock ? left : kActivationBlock,
                     row * blocks + block, out);
    }
  }
}

}  // namespace shoal::avx2
