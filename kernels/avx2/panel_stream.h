#pragma once

#include "kernels/avx2/math.h"
#include "kernels/panel_layout.h"

// Reading quantised panels (kernels/panels.h) block by block, 8 output rows (half a panel) at a time. Private
// to each file that multiplies them.
namespace shoal::avx2 {
namespace {

using Bytes = const std::byte*;

constexpr std::size_t kHalf = 32;  // bytes of a line that hold 8 of the 16 output rows

// What runs once per block is always inlined and unrolled, so that sums stay in registers and shifts are
// constants.
#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE __m256i load_line(Bytes from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
SHOAL_INLINE __m256 load_f16(Bytes from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
SHOAL_INLINE __m128i load_8(Bytes from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }
SHOAL_INLINE __m256 load_u8(Bytes from) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_8(from))); }

template <int Bits>
constexpr std::size_t kCodesBytes = Bits == 8 ? kCodes8 : kCodes4 + (Bits - 4) * kLine;

SHOAL_INLINE __m256i masked(__m256i bits, char mask) {
  return _mm256_and_si256(bits, _mm256_set1_epi8(mask));
}

// The fifth bit of group g, moved to bit 4.
SHOAL_INLINE __m256i fifth_bits(__m256i plane, int g) {
  return masked(g < 4 ? _mm256_slli_epi16(plane, 4 - g) : _mm256_srli_epi16(plane, g - 4), 0x10);
}

// The upper bits of group 4h + i, moved to bits 4 and 5.
SHOAL_INLINE __m256i upper_bits(__m256i plane, int i) {
  return masked(i < 2 ? _mm256_slli_epi16(plane, 4 - 2 * i) : _mm256_srli_epi16(plane, 2 * i - 4), 0x30);
}

// Where one block's parts lie; `half` * 8 rows on in each.
struct Lines {
  Bytes super;   // d, dmin of a K-quant
  Bytes scales;  // d, m, or 8-bit scales
  Bytes codes;   // planes, then nibbles or bytes
};

// The codes of column group g as they are stored.
template <int Bits>
SHOAL_INLINE __m256i read_code(Bytes codes, std::size_t g, std::size_t half) {
  codes += half * kHalf;
  if constexpr (Bits == 8) return load_line(codes + g * kLine);
  const __m256i line = load_line(codes + (Bits - 4 + g % 4) * kLine);
  const __m256i nibbles = masked(g < 4 ? line : _mm256_srli_epi16(line, 4), 0x0f);
  if constexpr (Bits == 5) return _mm256_or_si256(nibbles, fifth_bits(load_line(codes), static_cast<int>(g)));
  if constexpr (Bits == 6)
    return _mm256_or_si256(nibbles, upper_bits(load_line(codes + g / 4 * kLine), static_cast<int>(g % 4)));
  return nibbles;
}

// A block's scales by their place among UnpackedBlock's: what all types have, the min of those that have one,
// Q6_K's for the halves of a block's columns.
enum class Scale : std::size_t { Whole = 0, Min = 1, FirstHalf = 1, SecondHalf = 2 };

// The kinds of quantised panels: how lines follow one another from a panel's start on, or from any multiple
// of 8 blocks on. `next` takes block `index` off the stream.

// Q4_0, Q5_0, Q8_0: pairs of blocks behind a line of d. Products subtract Offset from every code.
template <int BitsOf, std::int32_t OffsetOf>
struct Symmetric {
  static constexpr int kBits = BitsOf;
  static constexpr std::int32_t kOffset = OffsetOf;
  static constexpr bool kHasMin = false;
  static constexpr std::size_t kNumScales = 1;
  static constexpr std::size_t kSuperBytes = 4 * (kLine + 2 * kCodesBytes<BitsOf>);
  Bytes at;
  Bytes header = nullptr;

  SHOAL_INLINE Lines next(std::size_t index) {
    if (index % 2 == 0) {
      header = at;
      at += kLine;
    }
    const Lines lines = {nullptr, header + index % 2 * kScaleBytes, at};
    at += kCodesBytes<kBits>;
    return lines;
  }

  template <Scale>
  SHOAL_INLINE static __m256 scale(const Lines& lines, std::size_t half) {
    return load_f16(lines.scales + half * 16);
  }
};

// Q4_1, Q5_1: d and m before each block.
template <int BitsOf>
struct WithMin {
  static constexpr int kBits = BitsOf;
  static constexpr std::int32_t kOffset = 0;
  static constexpr bool kHasMin = true;
  static constexpr std::size_t kSuperBytes = 8 * (kLine + kCodesBytes<BitsOf>);
  static constexpr std::size_t kNumScales = 2;
  Bytes at;

  SHOAL_INLINE Lines next(std::size_t) {
    const Lines lines = {nullptr, at, at + kLine};
    at += kLine + kCodesBytes<kBits>;
    return lines;
  }
  template <Scale Which>
  SHOAL_INLINE static __m256 scale(const Lines& lines, std::size_t half) {
    return load_f16(lines.scales + (Which == Scale::Whole ? 0 : kScaleBytes) + half * 16);
  }
};

// The K-quants' stream: a line of d (and dmin) for 8 blocks; a line of 8-bit scales for each pair.
template <int BitsOf>
struct SuperStream {
  static constexpr int kBits = BitsOf;
  static constexpr std::size_t kSuperBytes = kLine + 4 * kLine + 8 * kCodesBytes<BitsOf>;
  Bytes at;
  Bytes header = nullptr;
  Bytes super = nullptr;

  SHOAL_INLINE Lines next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        super = at;
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    const Lines lines = {super, header + index % 2 * 32, at};
    at += kCodesBytes<kBits>;
    return lines;
  }
};

// Q4_K, Q5_K.
template <int BitsOf>
struct SuperWithMin : SuperStream<BitsOf> {
  static constexpr std::int32_t kOffset = 0;
  static constexpr bool kHasMin = true;
  static constexpr std::size_t kNumScales = 2;

  template <Scale Which>
  SHOAL_INLINE static __m256 scale(const Lines& lines, std::size_t half) {
    if constexpr (Which == Scale::Whole)
      return _mm256_mul_ps(load_f16(lines.super + half * 16), load_u8(lines.scales + half * 8));
    const __m256 negative_dmin =
        _mm256_xor_ps(load_f16(lines.super + kScaleBytes + half * 16), _mm256_set1_ps(-0.0f));
    return _mm256_mul_ps(negative_dmin, load_u8(lines.scales + 16 + half * 8));
  }
};

// Q6_K: a signed scale for each half of a block's columns, in the form that `Dot` multiplies by.
template <class Dot>
struct Super6 : SuperStream<6> {
  static constexpr std::int32_t kOffset = kOffset6;
  static constexpr bool kHasMin = false;
  static constexpr std::size_t kNumScales = 3;

  template <Scale Which>
  SHOAL_INLINE static __m256 scale(const Lines& lines, std::size_t half) {
    if constexpr (Which == Scale::Whole) return load_f16(lines.super + half * 16);
    const Bytes from = lines.scales + (Which == Scale::FirstHalf ? 0 : 16) + half * 8;
    return Dot::half_scale(_mm256_cvtepi8_epi32(load_8(from)));
  }
};

// One block, read where it lies.
template <class PanelOf>
struct PackedBlock {
  using Panel = PanelOf;
  Lines lines;

  SHOAL_INLINE __m256i code(std::size_t g, std::size_t half) const {
    return read_code<Panel::kBits>(lines.codes, g, half);
  }
  template <Scale Which>
  SHOAL_INLINE __m256 scale(std::size_t half) const {
    return Panel::template scale<Which>(lines, half);
  }
};

// One block, unpacked once for many rows of x.
template <class PanelOf>
struct UnpackedBlock {
  using Panel = PanelOf;
  __m256i codes[8][2];
  __m256 scales[Panel::kNumScales][2];

  SHOAL_INLINE __m256i code(std::size_t g, std::size_t half) const { return codes[g][half]; }
  template <Scale Which>
  SHOAL_INLINE __m256 scale(std::size_t half) const {
    return scales[static_cast<std::size_t>(Which)][half];
  }
};

template <class Panel>
SHOAL_INLINE void unpack(const Lines& lines, UnpackedBlock<Panel>* to) {
#pragma GCC unroll 2
  for (std::size_t half = 0; half < 2; ++half) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g) to->codes[g][half] = read_code<Panel::kBits>(lines.codes, g, half);
    to->scales[0][half] = Panel::template scale<Scale::Whole>(lines, half);
    if constexpr (Panel::kNumScales > 1) to->scales[1][half] = Panel::template scale<Scale::Min>(lines, half);
    if constexpr (Panel::kNumScales > 2)
      to->scales[2][half] = Panel::template scale<Scale::SecondHalf>(lines, half);
  }
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::avx2
