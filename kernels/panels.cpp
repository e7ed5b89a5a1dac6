#include "kernels/panels.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/elementary.h"
#include "kernels/panel_block.h"
#include "kernels/panel_layout.h"

namespace shoal {
namespace {

std::size_t codes_bytes(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
    case WeightType::Q4_1:
    case WeightType::Q4_K:
      return kCodes4;
    case WeightType::Q5_0:
    case WeightType::Q5_1:
    case WeightType::Q5_K:
      return kCodes5;
    case WeightType::Q6_K:
      return kCodes6;
    default:
      return kCodes8;
  }
}

void pack_float_row(std::size_t element_bytes, std::size_t cols, const std::byte* row_values, std::size_t row,
                    std::byte* panel) {
  for (std::size_t col = 0; col < cols; ++col) {
    std::memcpy(panel + (col * kPanelRows + row) * element_bytes, row_values + col * element_bytes,
                element_bytes);
  }
}

void pack_row(WeightType type, std::size_t cols, const std::byte* gguf_row, std::size_t row,
              std::byte* panel) {
  if (!is_quantised(type)) {
    pack_float_row(block_shape(type).block_bytes, cols, gguf_row, row, panel);
    return;
  }
  for (std::size_t block = 0; block < cols / kPanelBlock; ++block) {
    write_panel_block(type, read_gguf_block(type, gguf_row, block), row, block, panel);
  }
}

// docs/ARITHMETIC.md, "Embedding".
void dequantise_block(WeightType type, const RowBlock& block, float* out) {
  for (std::size_t i = 0; i < kPanelBlock; ++i) {
    const std::int32_t q = block.codes[i];
    switch (type) {
      case WeightType::Q4_0:
        out[i] = block.scale * static_cast<float>(q - kOffset4);
        break;
      case WeightType::Q5_0:
        out[i] = block.scale * static_cast<float>(q - kOffset5);
        break;
      case WeightType::Q8_0:
        out[i] = block.scale * static_cast<float>(q);
        break;
      case WeightType::Q6_K:
        out[i] = (block.scale * static_cast<float>(block.scale6[i < 16 ? 0 : 1])) *
                 static_cast<float>(q - kOffset6);
        break;
      default:
        out[i] = fma_f32(block.scale, static_cast<float>(q), block.min);  // Q4_1, Q5_1, Q4_K, Q5_K
    }
  }
}

}  // namespace

std::size_t panel_bytes(WeightType type, std::size_t cols) {
  SHOAL_CHECK_OP(cols % block_shape(type).block_elements, ==, 0u);
  if (!is_quantised(type)) return align_up(cols * kPanelRows * block_shape(type).block_bytes, kLine);
  const std::size_t blocks = cols / kPanelBlock;
  const std::size_t codes = blocks * codes_bytes(type);
  switch (type) {
    case WeightType::Q4_1:
    case WeightType::Q5_1:
      return codes + blocks * kLine;
    case WeightType::Q4_K:
    case WeightType::Q5_K:
    case WeightType::Q6_K:
      return codes + blocks / kSuperBlocks * (kSuperBlocks / 2 + 1) * kLine;
    default:
      return codes + div_ceil(blocks, 2) * kLine;
  }
}

std::size_t panel_matrix_bytes(WeightType type, std::size_t rows, std::size_t cols) {
  return div_ceil(rows, kPanelRows) * panel_bytes(type, cols);
}

void pack_panels(WeightType type, std::size_t num_gguf_rows, std::size_t cols, const std::byte* gguf_rows,
                 std::byte* out) {
  const std::size_t row_bytes = gguf_row_bytes(type, cols);
  const std::size_t bytes = panel_bytes(type, cols);
  for (std::size_t first = 0; first < num_gguf_rows; first += kPanelRows, out += bytes) {
    std::memset(out, 0, bytes);
    const std::size_t rows = std::min(kPanelRows, num_gguf_rows - first);
    for (std::size_t row = 0; row < rows; ++row)
      pack_row(type, cols, gguf_rows + (first + row) * row_bytes, row, out);
  }
}

void dequantise_row(const PanelMatrix& matrix, std::size_t row, float* out) {
  SHOAL_CHECK_OP(row, <, matrix.rows);
  const std::byte* panel = matrix.panels + row / kPanelRows * panel_bytes(matrix.type, matrix.cols);
  if (!is_quantised(matrix.type)) {
    for (std::size_t col = 0; col < matrix.cols; ++col)
      out[col] = read_float_weight(matrix.type, panel, row % kPanelRows, col);
    return;
  }
  for (std::size_t block = 0; block < matrix.cols / kPanelBlock; ++block) {
    dequantise_block(matrix.type, read_row_block(matrix.type, panel, row % kPanelRows, block),
                     out + block * kPanelBlock);
  }
}

}  // namespace shoal
