#include <doctest/doctest.h>

#include <array>

#include "kernels/half.h"
#include "kernels/panel_block.h"
#include "kernels/panel_layout.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support/slow_run.h"

using namespace shoal;
using namespace shoal::test;

// Where products may leave the numbers they count in, or the buffers they work in.
namespace {

constexpr std::array kQuantisedTypes = {WeightType::Q4_0, WeightType::Q4_1, WeightType::Q5_0,
                                        WeightType::Q5_1, WeightType::Q8_0, WeightType::Q4_K,
                                        WeightType::Q5_K, WeightType::Q6_K};

bool has_super_blocks(WeightType type) { return block_shape(type).block_elements == 256; }

std::uint8_t greatest_code(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
    case WeightType::Q4_1:
    case WeightType::Q4_K:
      return 15;
    case WeightType::Q5_0:
    case WeightType::Q5_1:
    case WeightType::Q5_K:
      return 31;
    case WeightType::Q6_K:
      return 63;
    default:
      return 255;  // Q8_0: 127, stored plus 128
  }
}

constexpr std::size_t kPatterns = 12;
constexpr std::size_t kCols = 256;

// Signs of all columns: all alike, alternating in runs of 1, 2, 4, 8 and 16, random.
bool is_negative(std::size_t pattern, std::size_t col, const std::vector<std::byte>& noise) {
  if (pattern < 2) return pattern == 1;
  if (pattern < 7) return (col >> (pattern - 2) & 1) != 0;
  return (static_cast<unsigned>(noise[col]) >> (pattern - 7) & 1) != 0;
}

// Output o follows pattern o / 2: the greatest code where x is negative and the least where it is not, or the
// other way round.
std::uint8_t code_at(WeightType type, std::size_t output, bool negative) {
  return negative == (output % 2 == 0) ? greatest_code(type) : 0;
}

RawBlock extreme_block(WeightType type, std::size_t output, std::size_t block,
                       const std::vector<std::byte>& noise) {
  RawBlock raw = {};
  for (std::size_t c = 0; c < 32; ++c)
    raw.codes[c] = code_at(type, output, is_negative(output / 2 % kPatterns, 32 * block + c, noise));
  raw.d = f16_from_float(0.01f);
  raw.m = f16_from_float(-0.02f);
  const bool is_signed = type == WeightType::Q6_K;
  raw.scale[0] = is_signed ? (output % 3 == 0 ? 0x80 : 0x7f) : 63;
  raw.scale[1] = is_signed ? (output % 3 == 1 ? 0x7f : 0x80) : 0;
  raw.min = 63;
  return raw;
}

}  // namespace

TEST_CASE("the greatest sums of either sign, in every pattern of signs, neither saturate nor wrap") {
  Random random(21);
  const std::vector<std::byte> noise = random_bytes(random, kCols);
  constexpr std::size_t kOutputs = 2 * kPatterns + 8;
  std::vector<float> values;
  for (std::size_t pattern = 0; pattern < kPatterns; ++pattern) {
    for (std::size_t col = 0; col < kCols; ++col)
      values.push_back(is_negative(pattern, col, noise) ? -1.0f : 1.0f);
  }
  const Activations x(values, kPatterns, kCols);
  for (const WeightType type : kQuantisedTypes) {
    PackedMatrix w(random, type, kOutputs, kCols);
    for (std::size_t output = 0; output < kOutputs; ++output) {
      for (std::size_t block = 0; block < kCols / kPanelBlock; ++block) {
        std::byte* panel = w.panels.data() + output / kPanelRows * panel_bytes(type, kCols);
        write_panel_block(type, extreme_block(type, output, block, noise), output % kPanelRows, block, panel);
      }
    }
    const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(doctest::String(name_of(type)));
      CHECK(same_bits(matmul(*kernels, w.view(), x.rows), truth));
      for (std::size_t row = 0; row < kPatterns; ++row) {  // and each alone
        CAPTURE(row);
        const auto begin = truth.begin() + static_cast<std::ptrdiff_t>(row * kOutputs);
        const std::vector<float> alone(begin, begin + kOutputs);
        CHECK(same_bits(matmul(*kernels, w.view(), rows_of(x.rows, row, 1)), alone));
      }
    }
  }
}

TEST_CASE("more columns and more rows than are worked on at a time give the scalar definition's bits") {
  struct Shape {
    std::size_t cols;
    std::size_t super_cols;  // for types of 256
    std::size_t num_rows;
  };
  Random random(22);
  std::size_t number = 0;
  for (const WeightType type : kQuantisedTypes) {
    for (const Shape& shape : {Shape{6176, 6400, 1}, Shape{6176, 6400, 8}, Shape{800, 1024, 9},
                               Shape{1568, 1792, 67}, Shape{32, 256, 131}, Shape{49184, 49408, 2}}) {
      if (number++ % kCaseStride != 0) continue;
      const std::size_t cols = has_super_blocks(type) ? shape.super_cols : shape.cols;
      const std::size_t outputs = 2 * kPanelRows + 1;
      const PackedMatrix w(random, type, outputs, cols);
      const Activations x(random_floats(random, shape.num_rows * cols), shape.num_rows, cols);
      const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(doctest::String(name_of(type)));
        CAPTURE(cols);
        CAPTURE(shape.num_rows);
        CHECK(same_bits(matmul(*kernels, w.view(), x.rows), truth));
      }
    }
  }
}
