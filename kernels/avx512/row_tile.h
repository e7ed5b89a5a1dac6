#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/kernel_table.h"

// Rows of activations as products read them, a private copy in each file that multiplies.
namespace shoal::avx512 {
namespace {

// Rows of x from one row on, and where the results go.
struct Tile {
  const std::int8_t* values;
  const float* scales;
  const float* scaled_sums;
  const std::int32_t* half_sums;
  std::size_t num_blocks;  // of a row
  float* out;
  std::size_t out_stride;
};

// Not QuantisedRows::num_blocks(): what portable code shares is never compiled for AVX-512.
inline std::size_t num_blocks_of(const QuantisedRows& x) { return (x.cols + kPanelBlock - 1) / kPanelBlock; }

// The rows from `row` on; `out` is row 0's.
inline Tile tile_at(const QuantisedRows& x, std::size_t row, float* out, std::size_t out_stride) {
  const std::size_t num_blocks = num_blocks_of(x);
  const std::size_t at = row * num_blocks;
  return {x.values + at * kPanelBlock, x.scales + at, x.scaled_sums + at, x.half_sums + 2 * at, num_blocks,
          out + row * out_stride,      out_stride};
}

// The next four columns of one row, in every lane.
[[gnu::always_inline]] inline __m512i four_columns(const std::int8_t* values) {
  std::int32_t packed;
  __builtin_memcpy(&packed, values, sizeof packed);
  return _mm512_set1_epi32(packed);
}

}  // namespace
}  // namespace shoal::avx512
