#pragma once

#include "kernels/avx512/panel_stream.h"

// Blocks of a panel as tile products read them. Private to each file that uses it.
namespace shoal::amx {
namespace {

#define SHOAL_INLINE [[gnu::always_inline]] inline

// Q6_K has a scale for each half of a block. A code times its scale takes 14 bits, so it is cut in two: a
// block's sum is kCutBase times the first tile's sums plus the second's.
template <class Panel>
constexpr std::size_t kCodeTiles = Panel::kBits == 6 ? 2 : 1;
inline constexpr int kCutShift = 7;

// One block of 16 output rows. Where the type has an offset it is subtracted, and codes are signed.
template <class Panel>
struct alignas(kLine) UnpackedBlock {
  static constexpr bool kSigned = Panel::kOffset != 0;

  std::int8_t codes[kCodeTiles<Panel>][kByteBytes];
  float scale[kPanelRows];
  float min[kPanelRows];
};

SHOAL_INLINE void store_codes(std::int8_t* codes, std::size_t group, __m512i line) {
  _mm512_store_si512(codes + group * kLine, line);
}

// Every second byte, from the lower halves of two lines of 16-bit numbers.
SHOAL_INLINE __m512i interleaved(__m512i even, __m512i odd) {
  constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
  return _mm512_mask_mov_epi8(even, kOdd, _mm512_slli_epi16(odd, 8));
}

// scale6 * (code - 32) = 128 * first + second, with second in [-64, 63].
SHOAL_INLINE void store_scaled_codes(const avx512::Block& block, UnpackedBlock<avx512::Super6>* to) {
  const __m512i half = _mm512_set1_epi16(1 << (kCutShift - 1));
  for (std::size_t g = 0; g < 8; ++g) {
    const __m512i codes = _mm512_sub_epi8(block.codes[g], _mm512_set1_epi8(kOffset6));
    // A 32-bit lane of scale6 belongs to one output row, as do the four codes in it.
    const __m512i scale = block.scale6[g / 4];
    const __m512i scales =
        _mm512_or_si512(_mm512_and_si512(scale, _mm512_set1_epi32(0xffff)), _mm512_slli_epi32(scale, 16));
    const __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 8), scales);
    const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(codes, 8), scales);
    const __m512i even_first = _mm512_srai_epi16(_mm512_add_epi16(even, half), kCutShift);
    const __m512i odd_first = _mm512_srai_epi16(_mm512_add_epi16(odd, half), kCutShift);
    store_codes(to->codes[0], g, interleaved(even_first, odd_first));
    store_codes(to->codes[1], g,
                interleaved(_mm512_sub_epi16(even, _mm512_slli_epi16(even_first, kCutShift)),
                            _mm512_sub_epi16(odd, _mm512_slli_epi16(odd_first, kCutShift))));
  }
}

template <class Panel>
SHOAL_INLINE void unpack(const avx512::Block& block, UnpackedBlock<Panel>* to) {
  if constexpr (Panel::kBits == 6) {
    store_scaled_codes(block, to);
  } else {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(Panel::kOffset));
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g)
      store_codes(to->codes[0], g,
                  Panel::kOffset == 0 ? block.codes[g] : _mm512_sub_epi8(block.codes[g], offset));
  }
  _mm512_store_ps(to->scale, block.scale);
  if constexpr (Panel::kHasMin) _mm512_store_ps(to->min, block.min);
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::amx
