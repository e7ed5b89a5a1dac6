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

constexpr std::size_t kTogether = 8;  // whole blocks: one lane each in what a block has one of

// Lane b of the result is the greatest of vector b's lanes. No NaN among them.
__m256 greatest_of_each(const __m256* m) {
  __m256 four[2];  // both halves hold vectors 4g .. 4g+3, one lane each
#pragma GCC unroll 2
  for (std::size_t g = 0; g < 2; ++g, m += 4) {
    const __m256 ab = _mm256_max_ps(_mm256_unpacklo_ps(m[0], m[1]), _mm256_unpackhi_ps(m[0], m[1]));
    const __m256 cd = _mm256_max_ps(_mm256_unpacklo_ps(m[2], m[3]), _mm256_unpackhi_ps(m[2], m[3]));
    four[g] = _mm256_max_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
  }
  return _mm256_max_ps(_mm256_permute2f128_ps(four[0], four[1], 0x20),
                       _mm256_permute2f128_ps(four[0], four[1], 0x31));
}

// The values of a block, as int8. No product is above 127.00002, so that only a NaN needs the clamp.
__m256i quantised_block(const float* x, __m256 inverse) {
  __m256i q[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const __m256 scaled = _mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), inverse);
    q[i] = _mm256_cvtps_epi32(_mm256_max_ps(scaled, _mm256_set1_ps(-kQuantisedMax)));
  }
  return packed(q);
}

// Eight sums of four values each.
__m256i sums_of_four(__m256i values) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), values);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

// Eight whole blocks, one after the other in memory.
void quantise_together(const float* x, std::size_t first_block, const QuantisedRows& out) {
  __m256 magnitudes[kTogether];
#pragma GCC unroll 8
  for (std::size_t b = 0; b < kTogether; ++b) {
    __m256 most = _mm256_setzero_ps();
#pragma GCC unroll 4
    for (std::size_t i = 0; i < 4; ++i)
      most = _mm256_max_ps(absolute(_mm256_loadu_ps(x + 32 * b + 8 * i)), most);
    magnitudes[b] = most;
  }
  const __m256 greatest = greatest_of_each(magnitudes);
  const __m256 limit = _mm256_set1_ps(kQuantisedMax);
  const __m256 ordinary = _mm256_cmp_ps(greatest, _mm256_set1_ps(kSmallestScaled), _CMP_NLT_UQ);
  const __m256 scales = _mm256_and_ps(ordinary, _mm256_div_ps(greatest, limit));
  alignas(32) float inverse[kTogether];
  alignas(32) std::int32_t keep[kTogether];
  _mm256_store_ps(inverse, _mm256_div_ps(limit, greatest));
  _mm256_store_ps(reinterpret_cast<float*>(keep), ordinary);
  __m256i sums[kTogether];
#pragma GCC unroll 8
  for (std::size_t b = 0; b < kTogether; ++b) {
    // A tiny block's values are zeros, whatever its inverse made of them.
    const __m256i values =
        _mm256_and_si256(quantised_block(x + 32 * b, _mm256_set1_ps(inverse[b])), _mm256_set1_epi32(keep[b]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.values + (first_block + b) * kActivationBlock),
                        values);
    sums[b] = sums_of_four(values);
  }
  __m256i whole[2];
#pragma GCC unroll 2
  for (std::size_t g = 0; g < 2; ++g) {  // four blocks: lower halves hold t0, upper halves t1
    const __m256i ab = _mm256_hadd_epi32(sums[4 * g], sums[4 * g + 1]);
    const __m256i cd = _mm256_hadd_epi32(sums[4 * g + 2], sums[4 * g + 3]);
    const __m256i halves = _mm256_hadd_epi32(ab, cd);
    const __m256i in_order = _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.half_sums + 2 * (first_block + 4 * g)), in_order);
    whole[g] = _mm256_add_epi32(halves, _mm256_permute2x128_si256(halves, halves, 0x01));
  }
  const __m256i totals = _mm256_permute2x128_si256(whole[0], whole[1], 0x20);
  _mm256_storeu_ps(out.scales + first_block, scales);
  _mm256_storeu_ps(out.scaled_sums + first_block, _mm256_mul_ps(scales, _mm256_cvtepi32_ps(totals)));
}

// `n` values, the last block maybe short.
void quantise_run(const float* x, std::size_t n, std::size_t first_block, const QuantisedRows& out) {
  std::size_t begin = 0;
  for (; begin + kTogether * kActivationBlock <= n; begin += kTogether * kActivationBlock)
    quantise_together(x + begin, first_block + begin / kActivationBlock, out);
  for (; begin < n; begin += kActivationBlock) {
    const std::size_t left = n - begin;
    quantise_block(x + begin, left < kActivationBlock ? left : kActivationBlock,
                   first_block + begin / kActivationBlock, out);
  }
}

}  // namespace

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out) {
  const std::size_t blocks = (out.cols + kActivationBlock - 1) / kActivationBlock;
  if (out.cols % kActivationBlock == 0) {  // the rows' blocks follow each other without a gap
    quantise_run(x, num_rows * out.cols, 0, out);
    return;
  }
  for (std::size_t row = 0; row < num_rows; ++row)
    quantise_run(x + row * out.cols, out.cols, row * blocks, out);
}

}  // namespace shoal::avx2
