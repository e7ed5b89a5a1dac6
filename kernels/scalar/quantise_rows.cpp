#include <cmath>

#include "kernels/elementary_constants.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

// A NaN counts as nothing in the maximum and as the lowest value in the clamp: bits stay the same everywhere,
// whatever comes in.
float greatest_magnitude(const float* x, std::size_t n) {
  float greatest = 0.0f;
  for (std::size_t i = 0; i < n; ++i) {
    const float magnitude = std::fabs(x[i]);
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  return greatest;
}

std::int8_t quantised(float scaled) {
  const float above = scaled > -kQuantisedMax ? scaled : -kQuantisedMax;
  const float clamped = above < kQuantisedMax ? above : kQuantisedMax;
  return static_cast<std::int8_t>(std::lrint(clamped));  // to nearest even
}

void quantise_block(const float* x, std::size_t n, std::size_t block, const QuantisedRows& out) {
  std::int8_t* values = out.values + block * kActivationBlock;
  for (std::size_t i = 0; i < kActivationBlock; ++i) values[i] = 0;
  const float greatest = greatest_magnitude(x, n);
  const bool tiny = greatest < kSmallestScaled;
  const float inverse = kQuantisedMax / greatest;
  std::int32_t sums[2] = {0, 0};
  for (std::size_t i = 0; i < n && !tiny; ++i) {
    values[i] = quantised(x[i] * inverse);
    sums[i / 16] += values[i];
  }
  const float s = tiny ? 0.0f : greatest / kQuantisedMax;
  out.scales[block] = s;
  out.scaled_sums[block] = s * static_cast<float>(sums[0] + sums[1]);
  out.half_sums[2 * block] = sums[0];
  out.half_sums[2 * block + 1] = sums[1];
}

}  // namespace

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out) {
  const std::size_t blocks = out.num_blocks();
  for (std::size_t row = 0; row < num_rows; ++row) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t begin = block * kActivationBlock;
      const std::size_t left = out.cols - begin;
      const std::size_t n = left < kActivationBlock ? left : kActivationBlock;
      quantise_block(x + row * out.cols + begin, n, row * blocks + block, out);
    }
  }
}

}  // namespace shoal::scalar
