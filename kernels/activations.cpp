#include "base/checked_math.h"
#include "kernels/kernel_table.h"

namespace shoal {
namespace {

constexpr std::size_t kAlignment = 64;

// The parts of one buffer, in order, each on a 64-byte boundary.
struct Parts {
  std::size_t scales;
  std::size_t scaled_sums;
  std::size_t half_sums;
  std::size_t end;
};

Parts parts_of(std::size_t num_rows, std::size_t cols) {
  const std::size_t blocks = num_rows * div_ceil(cols, kActivationBlock);
  Parts parts = {};
  parts.scales = align_up(blocks * kActivationBlock, kAlignment);
  parts.scaled_sums = parts.scales + align_up(blocks * sizeof(float), kAlignment);
  parts.half_sums = parts.scaled_sums + align_up(blocks * sizeof(float), kAlignment);
  parts.end = parts.half_sums + align_up(blocks * 2 * sizeof(std::int32_t), kAlignment);
  return parts;
}

}  // namespace

std::size_t quantised_rows_bytes(std::size_t num_rows, std::size_t cols) {
  return parts_of(num_rows, cols).end;
}

QuantisedRows quantised_rows_in(std::byte* buffer, std::size_t num_rows, std::size_t cols, const float* f32) {
  const Parts parts = parts_of(num_rows, cols);
  QuantisedRows rows;
  rows.num_rows = num_rows;
  rows.cols = cols;
  rows.values = reinterpret_cast<std::int8_t*>(buffer);
  rows.scales = reinterpret_cast<float*>(buffer + parts.scales);
  rows.scaled_sums = reinterpret_cast<float*>(buffer + parts.scaled_sums);
  rows.half_sums = reinterpret_cast<std::int32_t*>(buffer + parts.half_sums);
  rows.f32 = f32;
  return rows;
}

}  // namespace shoal
