#pragma once

#include "kernels/kernel_table.h"

// How every instruction set puts a row of keys or values into a q8 block: its own quantise_rows, its own
// rounding to f16. Each instruction set's file includes this for a private copy.
namespace shoal {
namespace {

// One head's row of one position: place(first dimension, codes, how many), scales one row of positions apart.
template <auto quantise_rows, auto to_f16, typename Place>
void store_q8_row(const float* x, std::size_t head_dim, std::uint16_t* scales, Place place) {
  constexpr std::size_t kMostBlocks = 16;  // at a time, so that the stack holds any head
  constexpr std::size_t kMostDims = kMostBlocks * kKvScaleDims;
  alignas(64) std::int8_t codes[kMostDims];
  alignas(64) float own_scales[kMostBlocks];
  float scaled_sums[kMostBlocks];
  std::int32_t half_sums[2 * kMostBlocks];
  for (std::size_t begin = 0; begin < head_dim; begin += kMostDims) {
    const std::size_t n = head_dim - begin < kMostDims ? head_dim - begin : kMostDims;
    quantise_rows(x + begin, 1, {1, n, codes, own_scales, scaled_sums, half_sums, nullptr});
    place(begin, codes, n);
    for (std::size_t d = 0; d < n; d += kKvScaleDims)
      scales[(begin + d) / kKvScaleDims * kKvBlockPositions] = to_f16(own_scales[d / kKvScaleDims]);
  }
}

template <auto quantise_rows, auto to_f16>
void store_q8(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::byte* key_block,
              std::byte* value_block) {
  static_assert(kKvScaleDims == kActivationBlock);
  const std::size_t head_dim = shape.head_dim;
  const auto scales_of = [&](std::byte* head) {
    return reinterpret_cast<std::uint16_t*>(head + shape.head_elements()) + slot;
  };
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    std::byte* keys = key_block + head * shape.head_bytes();
    std::byte* values = value_block + head * shape.head_bytes();
    store_q8_row<quantise_rows, to_f16>(k + head * head_dim, head_dim, scales_of(keys),
                                        [&](std::size_t first, const std::int8_t* codes, std::size_t n) {
                                          std::byte* to = keys + first * kKvBlockPositions + slot;
                                          for (std::size_t d = 0; d < n; ++d, to += kKvBlockPositions)
                                            *to = static_cast<std::byte>(codes[d]);
                                        });
    store_q8_row<quantise_rows, to_f16>(v + head * head_dim, head_dim, scales_of(values),
                                        [&](std::size_t first, const std::int8_t* codes, std::size_t n) {
                                          __builtin_memcpy(values + slot * head_dim + first, codes, n);
                                        });
  }
}

}  // namespace
}  // namespace shoal
