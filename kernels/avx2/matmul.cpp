#include "kernels/avx2/kernels.h"
#include "kernels/avx2/panel_products.h"

namespace shoal::avx2 {
namespace {

#define SHOAL_INLINE [[gnu::always_inline]] inline

// VPMADDUBSW adds two products into 16 bits, VPADDW adds those. How far 16 bits reach decides when VPMADDWD
// must widen them. Codes of 4 bits: 8 column groups give at most 2 * 8 * 15 * 127 = 30,480. Codes of 5 and 6
// bits would overflow, but not once their offset is taken off: 8 groups give at most 2 * 8 * 16 * 127 =
// 32,512, and so do 4 groups of 6 bits. So sums start from minus the offset times x's own sums over the
// columns of a 16-bit lane; that sums before the last wrap around does no harm.
struct Maddubs {
  // In each 16 bits a Q6_K scale: VPMADDWD widens and multiplies in one.
  SHOAL_INLINE static __m256 half_scale(__m256i scales) {
    return _mm256_castsi256_ps(
        _mm256_or_si256(_mm256_and_si256(scales, _mm256_set1_epi32(0xffff)), _mm256_slli_epi32(scales, 16)));
  }
  template <Scale Which, class Block>
  SHOAL_INLINE static __m256i times_scale(const Block& w, std::size_t half, __m256i pairs) {
    return _mm256_madd_epi16(pairs, _mm256_castps_si256(w.template scale<Which>(half)));
  }

  template <class Panel>
  static constexpr bool kStartsBelow = Panel::kBits == 5 || Panel::kBits == 6 ||
                                       (Panel::kBits == 4 && Panel::kOffset != 0);
  template <class Panel>
  static constexpr bool kHasStart = kStartsBelow<Panel>;

  // first: two 16-bit starts (Q6_K: of the first half). second: those of the second half of Q6_K; otherwise
  // what gives back an offset that the type does not have.
  template <class Panel>
  static Start start(const std::int8_t* values, const std::int32_t* half_sums) {
    constexpr int kShift = Panel::kBits - 1;
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
    const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), x);
    const __m256i two = _mm256_add_epi16(pairs, _mm256_shuffle_epi32(pairs, 0x4e));
    const __m256i four = _mm256_add_epi16(two, _mm256_shuffle_epi32(two, 0xb1));
    const __m256i below = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(four, kShift));
    const __m128i first = _mm256_castsi256_si128(below);
    const __m128i second = _mm256_extracti128_si256(below, 1);
    if constexpr (Panel::kBits == 6) return {_mm_cvtsi128_si32(first), _mm_cvtsi128_si32(second)};
    return {_mm_cvtsi128_si32(_mm_add_epi16(first, second)), (half_sums[0] + half_sums[1]) * (1 << kShift)};
  }

  // Now, not later: GCC would make all products first, keep them in memory and add them in pairs.
  SHOAL_INLINE static __m256i add_now(__m256i sum, __m256i products) {
    sum = _mm256_add_epi16(sum, products);
    asm("" : "+x"(sum));
    return sum;
  }

  // Column groups [begin, end) in 16 bits.
  template <std::size_t R, class Block>
  SHOAL_INLINE static void add_groups(const Block& w, const XBlock& x, std::size_t begin, std::size_t end,
                                      bool starts_at_zero, __m256i (*pairs)[2]) {
#pragma GCC unroll 8
    for (std::size_t g = begin; g < end; ++g) {
      const __m256i codes[2] = {w.code(g, 0), w.code(g, 1)};
#pragma GCC unroll 4
      for (std::size_t r = 0; r < R; ++r) {
        const __m256i columns = x.four_columns(r, g);
#pragma GCC unroll 2
        for (std::size_t half = 0; half < 2; ++half) {
          const __m256i products = _mm256_maddubs_epi16(codes[half], columns);
          pairs[r][half] = g == begin && starts_at_zero ? products : add_now(pairs[r][half], products);
        }
      }
    }
  }

  template <std::size_t R, class Block>
  SHOAL_INLINE static void multiply(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    if constexpr (Block::Panel::kBits == 8) {
      multiply_bytes<R>(w, x, sums);
    } else if constexpr (Block::Panel::kBits == 6) {
      multiply_halves<R>(w, x, sums);
    } else {
      multiply_whole<R>(w, x, sums);
    }
  }

  template <std::size_t R, class Block>
  SHOAL_INLINE static void multiply_whole(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    using Panel = typename Block::Panel;
    __m256i pairs[R][2];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R && kStartsBelow<Panel>; ++r) pairs[r][0] = pairs[r][1] = x.first_start(r);
    add_groups<R>(w, x, 0, 8, !kStartsBelow<Panel>, pairs);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        __m256i sum = _mm256_madd_epi16(pairs[r][half], _mm256_set1_epi16(1));
        if constexpr (kStartsBelow<Panel> && Panel::kOffset == 0)
          sum = _mm256_add_epi32(sum, x.second_start(r));
        sums[r][half] = _mm256_cvtepi32_ps(sum);
      }
    }
  }

  template <std::size_t R, class Block>
  SHOAL_INLINE static void multiply_halves(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    __m256i pairs[R][2];
    __m256i scaled[R][2];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) pairs[r][0] = pairs[r][1] = x.first_start(r);
    add_groups<R>(w, x, 0, 4, false, pairs);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      scaled[r][0] = times_scale<Scale::FirstHalf>(w, 0, pairs[r][0]);
      scaled[r][1] = times_scale<Scale::FirstHalf>(w, 1, pairs[r][1]);
      pairs[r][0] = pairs[r][1] = x.second_start(r);
    }
    add_groups<R>(w, x, 4, 8, false, pairs);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        const __m256i second = times_scale<Scale::SecondHalf>(w, half, pairs[r][half]);
        sums[r][half] = _mm256_cvtepi32_ps(_mm256_add_epi32(scaled[r][half], second));
      }
    }
  }

  // Eight bits: |w| times x with w's sign, whose pairs reach at most 2 * 128 * 127 = 32,512.
  template <std::size_t R, class Block>
  SHOAL_INLINE static void multiply_bytes(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    __m256i totals[R][2];
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g) {
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        const __m256i codes = _mm256_xor_si256(w.code(g, half), _mm256_set1_epi8(static_cast<char>(0x80)));
        const __m256i magnitude = _mm256_abs_epi8(codes);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < R; ++r) {
          const __m256i products =
              _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x.four_columns(r, g), codes));
          const __m256i wide = _mm256_madd_epi16(products, _mm256_set1_epi16(1));
          totals[r][half] = g == 0 ? wide : _mm256_add_epi32(totals[r][half], wide);
          asm("" : "+x"(totals[r][half]));
        }
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      sums[r][0] = _mm256_cvtepi32_ps(totals[r][0]);
      sums[r][1] = _mm256_cvtepi32_ps(totals[r][1]);
    }
  }
};

#undef SHOAL_INLINE

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  multiply_panels<Maddubs>(w, panels, x, out, out_stride);
}

}  // namespace shoal::avx2
