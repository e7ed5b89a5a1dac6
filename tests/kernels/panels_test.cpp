#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "kernels/panel_layout.h"
#include "kernels/panels.h"
#include "tests/kernels/gguf_reference.h"
#include "tests/kernels/kernel_cases.h"

using namespace shoal;
using namespace shoal::test;

namespace {

std::size_t column_step(WeightType type) { return block_shape(type).block_elements; }

// Columns that end pairs, super-blocks and odd numbers of blocks.
std::vector<std::size_t> column_counts(WeightType type) {
  const std::size_t step = column_step(type);
  if (step == 1) return {1, 7, 31, 32, 33, 100, 576};
  if (step == 32) return {32, 64, 96, 576, 608};
  return {256, 512, 768, 2048};
}

}  // namespace

TEST_CASE("a packed row dequantises to the values the GGUF format gives it") {
  Random random(1);
  for (const WeightType type : kAllTypes) {
    for (const std::size_t cols : column_counts(type)) {
      for (const std::size_t rows : {std::size_t{1}, std::size_t{16}, std::size_t{37}}) {
        CAPTURE(doctest::String(name_of(type)));
        CAPTURE(cols);
        CAPTURE(rows);
        const PackedMatrix w(random, type, rows, cols);
        std::vector<float> row(cols);
        double worst = 0.0;
        for (std::size_t r = 0; r < rows; ++r) {
          dequantise_row(w.view(), r, row.data());
          const std::vector<double> truth =
              gguf_values(type, w.gguf.data() + r * gguf_row_bytes(type, cols), cols);
          // Two f32 roundings at most, of terms no greater than the largest weight's.
          for (std::size_t i = 0; i < cols; ++i) {
            worst = std::max(
                worst, std::fabs(static_cast<double>(row[i]) - truth[i]) / (std::fabs(truth[i]) + 0.05));
          }
        }
        CHECK(worst < 1.3e-7);
      }
    }
  }
}

TEST_CASE("a type without a fused step dequantises exactly") {
  Random random(2);
  for (const WeightType type : {WeightType::F32, WeightType::F16, WeightType::BF16, WeightType::Q4_0,
                                WeightType::Q5_0, WeightType::Q8_0, WeightType::Q6_K}) {
    CAPTURE(doctest::String(name_of(type)));
    const PackedMatrix w(random, type, 16, 512);
    std::vector<float> row(512);
    dequantise_row(w.view(), 11, row.data());
    const std::vector<double> truth = gguf_values(type, w.gguf.data() + 11 * gguf_row_bytes(type, 512), 512);
    for (std::size_t i = 0; i < row.size(); ++i) REQUIRE(static_cast<double>(row[i]) == truth[i]);
  }
}

TEST_CASE("panels take at most 1.05 times the bytes of the GGUF tensor") {
  for (const WeightType type : kAllTypes) {
    for (const std::size_t cols :
         {std::size_t{576}, std::size_t{1536}, std::size_t{2048}, std::size_t{8960}}) {
      if (cols % column_step(type) != 0) continue;
      CAPTURE(doctest::String(name_of(type)));
      CAPTURE(cols);
      const double file = static_cast<double>(gguf_row_bytes(type, cols)) * 16;
      CHECK(static_cast<double>(panel_bytes(type, cols)) <= 1.05 * file);
      CHECK(static_cast<double>(panel_bytes(type, cols)) >= file);
    }
  }
}

TEST_CASE("a panel is a whole number of cache lines") {
  for (const WeightType type : kAllTypes) {
    for (const std::size_t cols : column_counts(type)) {
      CAPTURE(doctest::String(name_of(type)));
      CAPTURE(cols);
      CHECK(panel_bytes(type, cols) % kLine == 0);
      CHECK(panel_matrix_bytes(type, 33, cols) == 3 * panel_bytes(type, cols));
    }
  }
}

TEST_CASE("panels packed one at a time are the bytes of the matrix packed whole") {
  Random random(3);
  for (const WeightType type : kAllTypes) {
    CAPTURE(doctest::String(name_of(type)));
    const std::size_t rows = 41;
    const std::size_t cols = 512;
    const PackedMatrix w(random, type, rows, cols);
    AlignedBytes parts(w.panels.size());
    for (std::size_t first = 0; first < rows; first += kPanelRows) {
      pack_panels(type, std::min(kPanelRows, rows - first), cols,
                  w.gguf.data() + first * gguf_row_bytes(type, cols),
                  parts.data() + first / kPanelRows * panel_bytes(type, cols));
    }
    CHECK(std::memcmp(parts.data(), w.panels.data(), w.panels.size()) == 0);
  }
}

TEST_CASE("the rows that fill up the last panel are zero bytes") {
  Random random(4);
  const PackedMatrix one(random, WeightType::Q4_1, 1, 64);
  std::size_t non_zero = 0;
  for (std::size_t i = 0; i < one.panels.size(); ++i) {
    const std::size_t line = i / kLine % 5;  // d and m, then four lines of nibbles
    const std::size_t row = line == 0 ? i % 32 / 2 : i % kLine / 4;
    if (row != 0 && one.panels.data()[i] != std::byte{0}) ++non_zero;
  }
  CHECK(non_zero == 0);
}

TEST_CASE("the layout on disk is the one version 1 describes") {
  // One byte of each kind, at the place panels.h gives it. A change here must raise kPanelLayoutVersion.
  static_assert(kPanelLayoutVersion == 1);
  std::vector<std::byte> gguf(16 * gguf_row_bytes(WeightType::Q4_1, 64));
  const std::size_t row5_block1 = 5 * 40 + 20;
  gguf[row5_block1 + 0] = std::byte{0x11};      // d, low byte
  gguf[row5_block1 + 2] = std::byte{0x22};      // m, low byte
  gguf[row5_block1 + 4 + 6] = std::byte{0x9c};  // columns 6 (0xc) and 22 (0x9)
  AlignedBytes panel(panel_bytes(WeightType::Q4_1, 64));
  pack_panels(WeightType::Q4_1, 16, 64, gguf.data(), panel.data());
  CHECK(panel.data()[320 + 2 * 5] == std::byte{0x11});
  CHECK(panel.data()[320 + 32 + 2 * 5] == std::byte{0x22});
  CHECK(panel.data()[320 + 64 + 1 * 64 + 4 * 5 + 2] == std::byte{0x9c});

  std::vector<std::byte> bytes(16 * gguf_row_bytes(WeightType::Q8_0, 64));
  bytes[3 * 68 + 34 + 2 + 31] = std::byte{0x7f};  // row 3, column 63
  AlignedBytes biased(panel_bytes(WeightType::Q8_0, 64));
  pack_panels(WeightType::Q8_0, 16, 64, bytes.data(), biased.data());
  CHECK(biased.size() == 64 + 2 * 512);
  CHECK(biased.data()[64 + 512 + 7 * 64 + 4 * 3 + 3] == std::byte{0xff});
  CHECK(biased.data()[64 + 512 + 7 * 64 + 4 * 3 + 2] == std::byte{0x80});
}
