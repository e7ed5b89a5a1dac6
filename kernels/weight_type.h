#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace shoal {

// The tensor types we compute with. Values are GGUF's own type numbers (ggml's enum), so files and frames
// need no table.
enum class WeightType : std::uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  BF16 = 30,
};

// How the GGUF file stores a type: `block_elements` consecutive columns in `block_bytes` bytes.
struct BlockShape {
  std::uint32_t block_elements;
  std::uint32_t block_bytes;
};

// nullopt: not a type we know.
std::optional<WeightType> weight_type_from(std::uint32_t gguf_type);
BlockShape block_shape(WeightType type);
const char* name_of(WeightType type);  // "Q4_K"

// Bytes of one row of `cols` columns as GGUF stores it; cols must be a multiple of block_elements.
std::size_t gguf_row_bytes(WeightType type, std::size_t cols);

}  // namespace shoal
