#pragma once

#include "kernels/avx512/panel_stream.h"
#include "kernels/avx512/row_tile.h"

// Products of many rows with two panels at a time. A row alone asks the load units for four columns of x as
// often as the multipliers take a line of codes; here each four columns serve both panels. Blocks are
// unpacked once, a chunk of them at a time, and all rows meet them in the nearest caches.
//
// What bounds it, on Zen 5: 8 VPDPBUSD, a multiplication and one or two multiply-adds for each row's block of
// 16 outputs share two units. Registers alone take 5.1 cycles for them (5.8 with a min), this 5.4 (5.9).
namespace shoal::avx512 {
namespace {

#define SHOAL_INLINE [[gnu::always_inline]] inline

constexpr std::size_t kPairRows = 4;      // rows of x together
constexpr std::size_t kChunkBlocks = 24;  // 30 KB of a pair (Q6_K: 34)

// From so many rows on it pays, also where weights come from memory. With 16 rows in pairs Gemma 3 270M
// decoded 16 sequences together at two thirds of the rate: half as much work hides the reading of each panel.
constexpr std::size_t kManyRows = 64;

// Parts of a block that have a scale each.
template <class Panel>
constexpr std::size_t kParts = Panel::kBits == 6 ? 2 : 1;

// The same block of two panels.
struct BlockPair {
  Block w[2];
};

// Two panels, and their blocks [first, first + count) once the first rows to meet them have unpacked them.
template <class Panel>
struct Chunk {
  Panel panels[2];
  std::size_t first;
  std::size_t count;
  BlockPair blocks[kChunkBlocks];
};

template <class Panel>
SHOAL_INLINE void unpack(Panel* panels, std::size_t index, BlockPair& to) {
#pragma GCC unroll 2
  for (std::size_t p = 0; p < 2; ++p) {
    prefetch(panels[p]);
    to.w[p] = panels[p].next(index);
  }
}

// The exact sums over one part of a block, less the type's offset: [row][panel].
template <class Panel, std::size_t R>
SHOAL_INLINE void multiply_part(const BlockPair& w, const Tile& x, std::size_t block, std::size_t part,
                                __m512i (*sums)[2]) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const std::int32_t* t = x.half_sums + 2 * (r * x.num_blocks + block);
    const std::int32_t sum = kParts<Panel> == 2 ? t[part] : t[0] + t[1];
    sums[r][0] = sums[r][1] = _mm512_set1_epi32(-Panel::kOffset * sum);
  }
  constexpr std::size_t kGroups = 8 / kParts<Panel>;
#pragma GCC unroll 8
  for (std::size_t g = kGroups * part; g < kGroups * (part + 1); ++g) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const __m512i columns = four_columns(x.values + (r * x.num_blocks + block) * kPanelBlock + 4 * g);
      sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], w.w[0].codes[g], columns);
      sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], w.w[1].codes[g], columns);
    }
  }
}

// The integers that docs/ARITHMETIC.md converts, converted. Those of Q6_K and all on the way to them stay
// below 2^24, where floats are exact.
template <class Panel, std::size_t R>
SHOAL_INLINE void float_sums(const BlockPair& w, const Tile& x, std::size_t block, __m512 (*floats)[2]) {
#pragma GCC unroll 2
  for (std::size_t part = 0; part < kParts<Panel>; ++part) {
    __m512i sums[R][2];
    multiply_part<Panel, R>(w, x, block, part, sums);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 2 * R; ++i) {
      __m512& to = floats[i / 2][i % 2];
      const __m512 sum = _mm512_cvtepi32_ps(sums[i / 2][i % 2]);
      if constexpr (kParts<Panel> == 1) {
        to = sum;
      } else {
        const __m512 scale = _mm512_cvtepi32_ps(w.w[i % 2].scale6[part]);
        to = part == 0 ? _mm512_mul_ps(scale, sum) : _mm512_fmadd_ps(scale, sum, to);
      }
    }
  }
}

// One block's terms of R rows (docs/ARITHMETIC.md, "Products").
template <class Panel, std::size_t R>
SHOAL_INLINE void add_pair(const BlockPair& w, const Tile& x, std::size_t block, __m512 (*acc)[2]) {
  __m512 sums[R][2];
  float_sums<Panel, R>(w, x, block, sums);
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const __m512 s = _mm512_set1_ps(x.scales[r * x.num_blocks + block]);
    const __m512 st = _mm512_set1_ps(x.scaled_sums[r * x.num_blocks + block]);
#pragma GCC unroll 2
    for (std::size_t p = 0; p < 2; ++p) {
      acc[r][p] = _mm512_fmadd_ps(sums[r][p], _mm512_mul_ps(w.w[p].scale, s), acc[r][p]);
      if constexpr (Panel::kHasMin) acc[r][p] = _mm512_fmadd_ps(w.w[p].min, st, acc[r][p]);
    }
  }
}

// A chunk's terms, added to what the chunks before left in the tile's `out`. The first rows unpack a block
// while they multiply the one before.
template <class Panel, std::size_t R, bool Unpacks>
[[gnu::noinline]] void multiply_chunk(Chunk<Panel>& chunk, const Tile& x, __mmask16 lanes) {
  const std::size_t first = chunk.first;
  __m512 acc[R][2];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const float* out = x.out + r * x.out_stride;
    acc[r][0] = first == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(out);
    acc[r][1] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(lanes, out + kPanelRows);
  }
  Panel panels[2] = {chunk.panels[0], chunk.panels[1]};  // in registers
  if (Unpacks) unpack(panels, first, chunk.blocks[0]);
  for (std::size_t i = 0; i < chunk.count; ++i) {
    if (Unpacks && i + 1 < chunk.count) unpack(panels, first + i + 1, chunk.blocks[i + 1]);
    add_pair<Panel, R>(chunk.blocks[i], x, first + i, acc);
  }
  if (Unpacks) {
    chunk.panels[0] = panels[0];
    chunk.panels[1] = panels[1];
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    float* out = x.out + r * x.out_stride;
    _mm512_storeu_ps(out, acc[r][0]);
    _mm512_mask_storeu_ps(out + kPanelRows, lanes, acc[r][1]);
  }
}

// All rows of x, at least kPairRows, times two panels `panel_size` bytes apart, of which the second has
// `lanes` outputs.
template <class Panel>
void multiply_two_panels(Bytes bytes, std::size_t panel_size, const QuantisedRows& x, float* out,
                         std::size_t out_stride, __mmask16 lanes) {
  const std::size_t num_blocks = num_blocks_of(x);
  const std::size_t num_chunks = (num_blocks + kChunkBlocks - 1) / kChunkBlocks;
  Chunk<Panel> chunk;
  chunk.panels[0] = Panel{bytes};
  chunk.panels[1] = Panel{bytes + panel_size};
  for (std::size_t c = 0; c < num_chunks; ++c) {  // of almost equal lengths
    chunk.first = num_blocks * c / num_chunks;
    chunk.count = num_blocks * (c + 1) / num_chunks - chunk.first;
    const auto tile = [&](std::size_t row) { return tile_at(x, row, out, out_stride); };
    multiply_chunk<Panel, kPairRows, true>(chunk, tile(0), lanes);
    std::size_t row = kPairRows;
    for (; row + kPairRows <= x.num_rows; row += kPairRows)
      multiply_chunk<Panel, kPairRows, false>(chunk, tile(row), lanes);
    for (; row < x.num_rows; ++row) multiply_chunk<Panel, 1, false>(chunk, tile(row), lanes);
  }
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::avx512
