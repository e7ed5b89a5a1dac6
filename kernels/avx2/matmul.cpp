#include "kernels/avx2/kernels.h"
#include "kernels/avx2/panel_products.h"

namespace shoal::avx2 {
namespace {

#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE __m256i pairs_to_sums(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }

// VPMADDUBSW adds two products into 16 bits and saturates, so 16-bit sums hold only as many products as
// cannot: one is at most 2 * 127 * (2^Bits - 1), that is 3,810 for 4 bits, 7,874 for 5 and 16,002 for 6. So
// four bits take all 8 column groups of a block in one sum, five bits 4 and six bits 2.
template <int Bits>
constexpr std::size_t kGroupsInSum = Bits == 4   ? 8
                                     : Bits == 5 ? 4
                                                 : 2;

// 16-bit sums of column groups i and i + 4: apart, or as one where both fit.
struct PairSums {
  __m256i first;
  __m256i second;
};

template <int Bits>
SHOAL_INLINE void add_groups(const Codes& w, const std::int8_t* x, std::size_t i, bool starts,
                             PairSums& pairs) {
  const __m256i first = _mm256_maddubs_epi16(w.first, four_columns(x + 4 * i));
  const __m256i second = _mm256_maddubs_epi16(w.second, four_columns(x + 16 + 4 * i));
  if constexpr (kGroupsInSum<Bits> == 8) {
    const __m256i both = _mm256_add_epi16(first, second);
    pairs.first = starts ? both : _mm256_add_epi16(pairs.first, both);
  } else {
    pairs.first = starts ? first : _mm256_add_epi16(pairs.first, first);
    pairs.second = starts ? second : _mm256_add_epi16(pairs.second, second);
  }
}

template <int Bits>
SHOAL_INLINE Sums widened(const PairSums& pairs) {
  if constexpr (Bits == 4) return {pairs_to_sums(pairs.first), _mm256_setzero_si256()};
  const __m256i first = pairs_to_sums(pairs.first);
  const __m256i second = pairs_to_sums(pairs.second);
  if constexpr (Bits == 5) return {_mm256_add_epi32(first, second), _mm256_setzero_si256()};
  return {first, second};
}

template <int Bits, std::size_t R>
SHOAL_INLINE void multiply_small(Bytes codes, const std::int8_t* const* x, Sums* sums) {
  constexpr std::size_t kSteps = Bits == 6 ? 2 : 4;
#pragma GCC unroll 8
  for (std::size_t begin = 0; begin < 4; begin += kSteps) {
    PairSums pairs[R];
#pragma GCC unroll 8
    for (std::size_t i = begin; i < begin + kSteps; ++i) {
      const Codes w = read_codes<Bits>(codes, i);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) add_groups<Bits>(w, x[r], i, i == begin, pairs[r]);
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const Sums step = widened<Bits>(pairs[r]);
      sums[r].d0 = begin == 0 ? step.d0 : _mm256_add_epi32(sums[r].d0, step.d0);
      if constexpr (Bits == 6) sums[r].d1 = begin == 0 ? step.d1 : _mm256_add_epi32(sums[r].d1, step.d1);
    }
  }
}

// Eight bits would saturate: multiply |w| by x with w's sign, whose pairs reach at most 2 * 128 * 127 =
// 32,512.
template <std::size_t R>
SHOAL_INLINE void multiply_bytes(Bytes codes, const std::int8_t* const* x, Sums* sums) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) sums[r].d0 = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 8; ++i) {
    const __m256i w =
        _mm256_xor_si256(load_line(codes + i * kLine), _mm256_set1_epi8(static_cast<char>(0x80)));
    const __m256i magnitude = _mm256_abs_epi8(w);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const __m256i signed_x = _mm256_sign_epi8(four_columns(x[r] + 4 * i), w);
      sums[r].d0 = _mm256_add_epi32(sums[r].d0, pairs_to_sums(_mm256_maddubs_epi16(magnitude, signed_x)));
    }
  }
}

struct Maddubs {
  static constexpr std::int32_t kOffset8 = 0;

  template <int Bits, std::size_t R>
  SHOAL_INLINE static void multiply(Bytes codes, const std::int8_t* const* x, Sums* sums) {
    if constexpr (Bits == 8) {
      multiply_bytes<R>(codes, x, sums);
    } else {
      multiply_small<Bits, R>(codes, x, sums);
    }
  }
};

#undef SHOAL_INLINE

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  multiply_panels<Maddubs>(w, panels, x, out, out_stride);
}

}  // namespace shoal::avx2
