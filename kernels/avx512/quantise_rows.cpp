#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

// VMAXPS and VMINPS return their second operand when one is a NaN: the definition's comparisons.
__m128i quantised(__m512 x, __m512 inverse) {
  const __m512 limit = _mm512_set1_ps(kQuantisedMax);
  const __m512 above = _mm512_max_ps(_mm512_mul_ps(x, inverse), _mm512_set1_ps(-kQuantisedMax));
  return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(_mm512_min_ps(above, limit)));
}

std::int32_t sum_of(__m128i values) { return _mm512_reduce_add_epi32(_mm512_cvtepi8_epi32(values)); }

void quantise_block(const float* x, std::size_t n, std::size_t block, const QuantisedRows& out) {
  const __m512 first = _mm512_maskz_loadu_ps(lanes_at(0, n), x);
  const __m512 second = n > 16 ? _mm512_maskz_loadu_ps(lanes_at(16, n), x + 16) : _mm512_setzero_ps();
  const __m512 zero = _mm512_setzero_ps();
  const __m512 magnitudes = _mm512_max_ps(_mm512_abs_ps(second), _mm512_max_ps(_mm512_abs_ps(first), zero));
  const float greatest = _mm512_reduce_max_ps(magnitudes);
  const bool tiny = greatest < kSmallestScaled;
  // Lanes past the row's end stay +0; a tiny block becomes zeros in every lane.
  const __m512 inverse = _mm512_set1_ps(kQuantisedMax / greatest);
  const __m128i q0 =
      tiny ? _mm_setzero_si128() : _mm_maskz_mov_epi8(lanes_at(0, n), quantised(first, inverse));
  const __m128i q1 =
      tiny || n <= 16 ? _mm_setzero_si128() : _mm_maskz_mov_epi8(lanes_at(16, n), quantised(second, inverse));
  std::int8_t* values = out.values + block * kActivationBlock;
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values), q0);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(values + 16), q1);
  const std::int32_t t0 = sum_of(q0);
  const std::int32_t t1 = sum_of(q1);
  const float s = tiny ? 0.0f : greatest / kQuantisedMax;
  out.scales[block] = s;
  out.scaled_sums[block] = s * static_cast<float>(t0 + t1);
  out.half_sums[2 * block] = t0;
  out.half_sums[2 * block + 1] = t1;
}

constexpr std::size_t kTogether = 16;  // whole blocks: one lane each in what a block has one of

// Lane b of the result is the greatest of vector b's lanes. No NaN among them.
__m512 greatest_of_each(const __m512* m) {
  __m512 four[4];  // every quarter holds vectors 4g .. 4g+3, one lane each
#pragma GCC unroll 4
  for (std::size_t g = 0; g < 4; ++g, m += 4) {
    const __m512 ab = _mm512_max_ps(_mm512_unpacklo_ps(m[0], m[1]), _mm512_unpackhi_ps(m[0], m[1]));
    const __m512 cd = _mm512_max_ps(_mm512_unpacklo_ps(m[2], m[3]), _mm512_unpackhi_ps(m[2], m[3]));
    four[g] = _mm512_max_ps(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
  }
  const auto quarters = [](__m512 a, __m512 b) {
    return _mm512_max_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  };
  return quarters(quarters(four[0], four[1]), quarters(four[2], four[3]));
}

// The sums of eight blocks' halves, in order; lanes of sums[v] are sums of four values of blocks 2v and 2v
// + 1.
__m512i half_sums_of(const __m512i* sums) {
  const __m512i ab =
      _mm512_add_epi32(_mm512_unpacklo_epi32(sums[0], sums[1]), _mm512_unpackhi_epi32(sums[0], sums[1]));
  const __m512i cd =
      _mm512_add_epi32(_mm512_unpacklo_epi32(sums[2], sums[3]), _mm512_unpackhi_epi32(sums[2], sums[3]));
  const __m512i all = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                  all);
}

// The values of two blocks, as int8. No product is above 127.00002, so that only a NaN needs the clamp.
__m512i quantised_pair(const float* x, __m512 inverse0, __m512 inverse1) {
  const __m512 lowest = _mm512_set1_ps(-kQuantisedMax);
  __m512i q[4];
#pragma GCC unroll 4
  for (std::size_t i = 0; i < 4; ++i) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(x + 16 * i), i < 2 ? inverse0 : inverse1);
    q[i] = _mm512_cvtps_epi32(_mm512_max_ps(scaled, lowest));
  }
  const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
  return _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
                                  bytes);
}

// Sixteen whole blocks, one after the other in memory.
void quantise_together(const float* x, std::size_t first_block, const QuantisedRows& out) {
  __m512 magnitudes[kTogether];
#pragma GCC unroll 16
  for (std::size_t b = 0; b < kTogether; ++b) {
    const __m512 first = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + 32 * b)), _mm512_setzero_ps());
    magnitudes[b] = _mm512_max_ps(_mm512_abs_ps(_mm512_loadu_ps(x + 32 * b + 16)), first);
  }
  const __m512 greatest = greatest_of_each(magnitudes);
  const __m512 limit = _mm512_set1_ps(kQuantisedMax);
  const __mmask16 ordinary = _mm512_cmp_ps_mask(greatest, _mm512_set1_ps(kSmallestScaled), _CMP_NLT_UQ);
  const __m512 scales = _mm512_maskz_div_ps(ordinary, greatest, limit);
  alignas(64) float inverse[kTogether];
  _mm512_store_ps(inverse, _mm512_div_ps(limit, greatest));
  std::int8_t* values = out.values + first_block * kActivationBlock;
  __m512i sums[kTogether / 2];
#pragma GCC unroll 8
  for (std::size_t b = 0; b < kTogether; b += 2) {
    const __m512i pair =
        quantised_pair(x + 32 * b, _mm512_set1_ps(inverse[b]), _mm512_set1_ps(inverse[b + 1]));
    // A tiny block's values are zeros, whatever its inverse made of them.
    const auto keep =
        static_cast<__mmask16>(((ordinary >> b & 1) * 0x00ffu) | ((ordinary >> b >> 1 & 1) * 0xff00u));
    const __m512i kept = _mm512_maskz_mov_epi32(keep, pair);
    _mm512_storeu_si512(values + 32 * b, kept);
    sums[b / 2] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), kept);
  }
  const __m512i low = half_sums_of(sums);
  const __m512i high = half_sums_of(sums + 4);
  _mm512_storeu_si512(out.half_sums + 2 * first_block, low);
  _mm512_storeu_si512(out.half_sums + 2 * first_block + 16, high);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  const __m512i whole =
      _mm512_add_epi32(_mm512_permutex2var_epi32(low, even, high), _mm512_permutex2var_epi32(low, odd, high));
  _mm512_storeu_ps(out.scales + first_block, scales);
  _mm512_storeu_ps(out.scaled_sums + first_block, _mm512_mul_ps(scales, _mm512_cvtepi32_ps(whole)));
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

}  // namespace shoal::avx512
