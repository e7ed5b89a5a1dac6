#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/panels.h"

// The portable reading and writing of one block of 32 columns of one row in a panel: pack_panels,
// dequantise_row and the scalar products stand on it.
namespace shoal {

// Where a block's parts lie, in bytes from the panel's start. Parts a type lacks are unused.
struct BlockPlace {
  std::size_t super = 0;   // f16 rows: d (and, 32 bytes on, dmin) of a K-quant
  std::size_t scales = 0;  // f16 d (and m), or the K-quants' 8-bit scales (and, 16 bytes on, mins)
  std::size_t planes = 0;  // fifth or upper bits
  std::size_t codes = 0;   // nibbles or bytes
};
BlockPlace block_place(WeightType type, std::size_t block);

bool is_quantised(WeightType type);

// One row's block as GGUF means it: raw codes, raw scales.
struct RawBlock {
  std::uint8_t codes[32];  // Q8_0: value + 128
  std::uint16_t d;         // f16
  std::uint16_t m;         // f16 m or dmin
  std::uint8_t scale[2];   // K-quants: sub-block scale (Q6_K: signed, one for each 16 columns)
  std::uint8_t min;        // Q4_K, Q5_K
};

// Reads block `block` of a GGUF row.
RawBlock read_gguf_block(WeightType type, const std::byte* gguf_row, std::size_t block);

void write_panel_block(WeightType type, const RawBlock& from, std::size_t row, std::size_t block,
                       std::byte* panel);
RawBlock read_panel_block(WeightType type, const std::byte* panel, std::size_t row, std::size_t block);

// The same, with scales widened: value = scale * (code - offset) + min, in the operations docs/ARITHMETIC.md
// gives.
struct RowBlock {
  std::int32_t codes[32];  // Q8_0: signed; otherwise as stored
  float scale;             // d, or d * sub-block scale (Q6_K: d alone)
  float min;               // m, or -(dmin * mn), or 0
  std::int32_t scale6[2];  // Q6_K's sub-block scales
};
RowBlock read_row_block(WeightType type, const std::byte* panel, std::size_t row, std::size_t block);

// One weight of a float type, widened.
float read_float_weight(WeightType type, const std::byte* panel, std::size_t row, std::size_t col);

}  // namespace shoal
