#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"
#include "base/range.h"
#include "kernels/weight_type.h"

// Panels: how weights lie in memory, in a worker's store and on the way between devices. One layout serves
// every instruction set.
//
// A panel is 16 output rows; its bytes are a run of 64-byte lines read once, in order. Columns go in blocks
// of 32. Where a table says "16 x f16", lane r belongs to row r; numbers are little-endian.
//
// clang-format off
//   line of codes  64 bytes: byte 4r + c is row r's code of column k + c, for 4 consecutive columns from k on
//                  (one operand of vpdpbusd). Column group g of a block is its columns 4g..4g+3.
//   nibbles        4 lines, i = 0..3: low halves hold column group i, high halves group i + 4
//   fifth bits     1 line: bit g of a byte is bit 4 of the code at the same byte of group g
//   upper bits     2 lines, h = 0, 1: bits 2i, 2i+1 of a byte are bits 4, 5 of the code of group 4h + i
//   bytes          8 lines: line g holds group g; Q8_0 is stored plus 128 and so unsigned
//
//   type       before the blocks                          each block of 32 columns
//   Q4_1       -                                          d 16 x f16, m 16 x f16, nibbles: 320 bytes
//   Q5_1       -                                          d, m the same; fifth bits, nibbles: 384
//   Q4_0       per pair of blocks: d 16 x f16 of each     nibbles: 256
//   Q5_0       the same                                   fifth bits, nibbles: 320
//   Q8_0       the same                                   bytes: 512
//   Q4_K       per 8 blocks: d, dmin 16 x f16 each;       nibbles: 256
//              per pair: scale, min 16 x u8 of each
//   Q5_K       the same                                   fifth bits, nibbles: 320
//   Q6_K       per 8 blocks: d 16 x f16, 32 zeros;        upper bits, nibbles: 384
//              per pair: 16 x i8 scales of columns 0..15,
//              then of columns 16..31, of each block
//   F32        -                                          per column 16 x f32: 64 bytes a column
//   F16, BF16  -                                          per column 16 x 16 bits: 32 bytes a column
// clang-format on
//
// A last pair of one block keeps the whole pair's header, its second half zero. F16 and BF16 with an odd
// number of columns end with 32 zeros. Rows past the matrix's last are zero bytes.
namespace shoal {

inline constexpr std::size_t kPanelRows = 16;
// Written into every store file; rises with any change above.
inline constexpr std::uint32_t kPanelLayoutVersion = 1;

// A weight matrix in panels. Does not own its bytes (a store file's mapping or a buffer does), which are
// 64-byte aligned.
struct PanelMatrix {
  WeightType type = WeightType::F32;
  std::size_t rows = 0;  // outputs; the last panel may be padded
  std::size_t cols = 0;  // inputs; a multiple of block_shape(type).block_elements
  const std::byte* panels = nullptr;

  std::size_t num_panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
};

// Bytes of one panel; a multiple of 64.
std::size_t panel_bytes(WeightType type, std::size_t cols);
std::size_t panel_matrix_bytes(WeightType type, std::size_t rows, std::size_t cols);

// Repacks whole panels. `gguf_rows` holds `num_gguf_rows` rows as GGUF stores them, the first of them a
// panel's first; `out` has ceil(num_gguf_rows/16) * panel_bytes, 64-byte aligned. Deterministic and the same
// on every device. Distinct panels may be packed on distinct threads. Allocates nothing.
void pack_panels(WeightType type, std::size_t num_gguf_rows, std::size_t cols, const std::byte* gguf_rows,
                 std::byte* out);

// The values of one row, as docs/ARITHMETIC.md's "Embedding" defines them; out has `cols` floats.
void dequantise_row(const PanelMatrix& matrix, std::size_t row, float* out);

}  // namespace shoal
