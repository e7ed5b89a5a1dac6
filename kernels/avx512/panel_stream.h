#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/panel_layout.h"

// Reading quantised panels (kernels/panels.h) block by block, a private copy in each file that multiplies
// them.
namespace shoal::avx512 {
namespace {

// One block of 32 columns of 16 output rows, unpacked. codes[g]: columns 4g..4g+3.
struct Block {
  __m512i codes[8];
  __m512 scale;
  __m512 min;
  __m512i scale6[2];
};

using Bytes = const std::byte*;

// What runs once per block is always inlined and unrolled, so that a block's codes and accumulators stay in
// registers.
#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE __m512i load_line(Bytes from) { return _mm512_loadu_si512(from); }
SHOAL_INLINE __m512 load_f16(Bytes from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
SHOAL_INLINE __m128i load_16(Bytes from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
SHOAL_INLINE __m512 load_u8(Bytes from) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_16(from))); }

SHOAL_INLINE void read_nibbles(Bytes from, __m512i* codes) {
  const __m512i low = _mm512_set1_epi8(0x0f);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 4; ++i) {
    const __m512i line = load_line(from + i * kLine);
    codes[i] = _mm512_and_si512(line, low);
    codes[i + 4] = _mm512_and_si512(_mm512_srli_epi16(line, 4), low);
  }
}

// (bits & mask) | codes
SHOAL_INLINE __m512i with_bits(__m512i codes, __m512i bits, char mask) {
  return _mm512_ternarylogic_epi32(codes, bits, _mm512_set1_epi8(mask), 0xf8);
}

SHOAL_INLINE void read_fifth_bits(Bytes from, __m512i* codes) {
  const __m512i plane = load_line(from);
#pragma GCC unroll 8
  for (std::size_t g = 0; g < 8; ++g) {
    const unsigned left = g < 4 ? static_cast<unsigned>(4 - g) : 0;
    const unsigned right = g < 4 ? 0 : static_cast<unsigned>(g - 4);
    const __m512i moved = g < 4 ? _mm512_slli_epi16(plane, left) : _mm512_srli_epi16(plane, right);
    codes[g] = with_bits(codes[g], moved, 0x10);
  }
}

SHOAL_INLINE void read_upper_bits(Bytes from, __m512i* codes) {
#pragma GCC unroll 8
  for (std::size_t h = 0; h < 2; ++h) {
    const __m512i plane = load_line(from + h * kLine);
    codes[4 * h] = with_bits(codes[4 * h], _mm512_slli_epi16(plane, 4), 0x30);
    codes[4 * h + 1] = with_bits(codes[4 * h + 1], _mm512_slli_epi16(plane, 2), 0x30);
    codes[4 * h + 2] = with_bits(codes[4 * h + 2], plane, 0x30);
    codes[4 * h + 3] = with_bits(codes[4 * h + 3], _mm512_srli_epi16(plane, 2), 0x30);
  }
}

template <int Bits>
SHOAL_INLINE void read_codes(Bytes from, __m512i* codes) {
  if constexpr (Bits == 8) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g) codes[g] = load_line(from + g * kLine);
  } else {
    constexpr std::size_t kPlanes = (Bits - 4) * kLine;
    read_nibbles(from + kPlanes, codes);
    if constexpr (Bits == 5) read_fifth_bits(from, codes);
    if constexpr (Bits == 6) read_upper_bits(from, codes);
  }
}

template <int Bits>
constexpr std::size_t kCodesBytes = Bits == 8 ? kCodes8 : kCodes4 + (Bits - 4) * kLine;

// The kinds of quantised panels. Each reads the stream of lines in order: `next` takes block `index` off it.

// Q4_0, Q5_0, Q8_0: pairs of blocks behind a line of d. Products subtract Offset from every code.
template <int BitsOf, std::int32_t OffsetOf>
struct Symmetric {
  static constexpr int kBits = BitsOf;
  static constexpr std::int32_t kOffset = OffsetOf;
  static constexpr bool kHasMin = false;
  Bytes at;
  Bytes header = nullptr;

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = load_f16(header + index % 2 * kScaleBytes);
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }
};

// Q4_1, Q5_1: d and m before each block.
template <int BitsOf>
struct WithMin {
  static constexpr int kBits = BitsOf;
  static constexpr std::int32_t kOffset = 0;
  static constexpr bool kHasMin = true;
  Bytes at;

  SHOAL_INLINE Block next(std::size_t) {
    Block block;
    block.scale = load_f16(at);
    block.min = load_f16(at + kScaleBytes);
    read_codes<kBits>(at + kLine, block.codes);
    at += kLine + kCodesBytes<kBits>;
    return block;
  }
};

// Q4_K, Q5_K: d, dmin for 8 blocks; scales and mins for each pair.
template <int BitsOf>
struct SuperWithMin {
  static constexpr int kBits = BitsOf;
  static constexpr std::int32_t kOffset = 0;
  static constexpr bool kHasMin = true;
  Bytes at;
  Bytes header = nullptr;
  __m512 d = {};
  __m512 negative_dmin = {};

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        d = load_f16(at);
        negative_dmin = _mm512_xor_ps(load_f16(at + kScaleBytes), _mm512_set1_ps(-0.0f));
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = _mm512_mul_ps(d, load_u8(header + index % 2 * 32));
    block.min = _mm512_mul_ps(negative_dmin, load_u8(header + index % 2 * 32 + 16));
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }
};

// Q6_K: d for 8 blocks; a signed scale for each half of a block.
struct Super6 {
  static constexpr int kBits = 6;
  static constexpr std::int32_t kOffset = kOffset6;
  static constexpr bool kHasMin = false;
  Bytes at;
  Bytes header = nullptr;
  __m512 d = {};

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        d = load_f16(at);
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = d;
    block.scale6[0] = _mm512_cvtepi8_epi32(load_16(header + index % 2 * 32));
    block.scale6[1] = _mm512_cvtepi8_epi32(load_16(header + index % 2 * 32 + 16));
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }
};

// Ahead of the stream: the hardware's own prefetch stops at page borders. On a Zen 5 core 3, 6, 8 and 12 KB
// read 37, 41, 42 and 41 GB/s of Q4_1 (a bare loop 36); two panels side by side, with prefetches or without,
// 30 to 33.
constexpr std::size_t kPrefetchBytes = 8192;
template <class Panel>
SHOAL_INLINE void prefetch(const Panel& panel) {
  constexpr std::size_t kBytes = kLine + kCodesBytes<Panel::kBits>;
#pragma GCC unroll 16
  for (std::size_t line = 0; line < kBytes; line += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(panel.at) + kPrefetchBytes + line, _MM_HINT_T0);
  }
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::avx512
