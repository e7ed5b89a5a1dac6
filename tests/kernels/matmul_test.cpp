#include <Eigen/Dense>
#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "kernels/thread_pool.h"
#include "tests/kernels/gguf_reference.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support/slow_run.h"

using namespace shoal;
using namespace shoal::test;

namespace {

bool is_float(WeightType type) { return block_shape(type).block_elements == 1; }

std::vector<std::size_t> column_counts(WeightType type) {
  switch (block_shape(type).block_elements) {
    case 1:
      return {1, 16, 31, 33, 100, 576};
    case 32:
      return {32, 64, 96, 576, 608};
    default:
      return {256, 768, 2048};
  }
}

}  // namespace

TEST_CASE("every matmul gives the scalar definition's bits") {
  Random random(11);
  for (const WeightType type : kAllTypes) {
    for (const std::size_t cols : column_counts(type)) {
      for (const std::size_t num_rows : {1, 2, 3, 5, 8, 15, 31}) {
        const std::size_t outputs = 16 + random.below(40);
        const PackedMatrix w(random, type, outputs, cols);
        const Activations x(random_floats(random, num_rows * cols, 2.0f), num_rows, cols);
        const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(doctest::String(name_of(type)));
          CAPTURE(cols);
          CAPTURE(num_rows);
          CAPTURE(outputs);
          CHECK(same_bits(matmul(*kernels, w.view(), x.rows), truth));
        }
      }
    }
  }
}

TEST_CASE(
    "from one row to forty, with part of a last panel, every matmul gives the scalar definition's bits") {
  Random random(18);
  constexpr std::size_t kMostRows = 40;
  constexpr std::size_t kOutputs = 2 * kPanelRows + 5;
  std::size_t number = 0;
  for (const WeightType type : kAllTypes) {
    // One block; blocks that leave a turn of four unfinished; more than are unpacked at a time.
    for (const std::size_t cols : {block_shape(type).block_elements == 256 ? 256u : 32u,
                                   block_shape(type).block_elements == 256 ? 512u : 224u, 1024u}) {
      const PackedMatrix w(random, type, kOutputs, cols);
      const Activations x(random_floats(random, kMostRows * cols, 2.0f), kMostRows, cols);
      const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
      for (const KernelTable* kernels : runnable_kernels()) {
        for (std::size_t num_rows = 1; num_rows <= kMostRows; ++num_rows) {
          if (number++ % kCaseStride != 0) continue;
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(doctest::String(name_of(type)));
          CAPTURE(cols);
          CAPTURE(num_rows);
          const auto end = truth.begin() + static_cast<std::ptrdiff_t>(num_rows * kOutputs);
          const std::vector<float> out = matmul(*kernels, w.view(), rows_of(x.rows, 0, num_rows));
          CHECK(same_bits(out, std::vector<float>(truth.begin(), end)));
        }
      }
    }
  }
}

TEST_CASE("many rows times one, two or three panels, unpacked in chunks, give the scalar definition's bits") {
  Random random(20);
  for (const WeightType type : kAllTypes) {
    const bool super_blocks = block_shape(type).block_elements == 256;
    // Around one chunk of 24 blocks and two.
    for (const std::size_t blocks : super_blocks ? std::vector<std::size_t>{8, 24, 32, 48, 56}
                                                 : std::vector<std::size_t>{1, 2, 23, 24, 25, 49}) {
      for (const std::size_t outputs : {13, 27, 32, 43, 48}) {
        const std::size_t cols = blocks * kActivationBlock;
        const PackedMatrix w(random, type, outputs, cols);
        const Activations x(random_floats(random, 67 * cols, 2.0f), 67, cols);
        const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
        for (const KernelTable* kernels : runnable_kernels()) {
          for (const std::size_t num_rows : {16, 17, 19, 63, 64, 65, 67}) {
            CAPTURE(doctest::String(kernels->name));
            CAPTURE(doctest::String(name_of(type)));
            CAPTURE(blocks);
            CAPTURE(outputs);
            CAPTURE(num_rows);
            const auto end = truth.begin() + static_cast<std::ptrdiff_t>(num_rows * outputs);
            const std::vector<float> out = matmul(*kernels, w.view(), rows_of(x.rows, 0, num_rows));
            CHECK(same_bits(out, std::vector<float>(truth.begin(), end)));
          }
        }
      }
    }
  }
}

TEST_CASE("threads that multiply side by side do not meet in their registers") {
  Random random(19);
  constexpr std::size_t kRows = 48;
  constexpr std::size_t kOutputs = 64 * kPanelRows;
  constexpr int kRepeats = kIsSlowRun ? 2 : 20;
  ThreadPool pool(4);
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q6_K}) {
    const PackedMatrix w(random, type, kOutputs, 512);
    const Activations x(random_floats(random, kRows * 512), kRows, 512);
    const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(doctest::String(name_of(type)));
      for (int repeat = 0; repeat < kRepeats; ++repeat) {
        std::vector<float> out(truth.size());
        pool.parallel_for(w.view().num_panels(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
          const Range panels{static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
          kernels->matmul(w.view(), panels, x.rows, out.data(), kOutputs);
        });
        CHECK(same_bits(out, truth));
      }
    }
  }
}

TEST_CASE("six hundred rows at once give the bits of each row alone") {
  Random random(12);
  for (const WeightType type : {WeightType::Q4_1, WeightType::Q8_0, WeightType::Q6_K, WeightType::F16}) {
    const PackedMatrix w(random, type, 24, 256);
    const Activations x(random_floats(random, 600 * 256), 600, 256);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(doctest::String(name_of(type)));
      const std::vector<float> together = matmul(*kernels, w.view(), x.rows);
      std::vector<float> alone;
      for (std::size_t row = 0; row < 600; ++row) {
        const std::vector<float> one = matmul(*kernels, w.view(), rows_of(x.rows, row, 1));
        alone.insert(alone.end(), one.begin(), one.end());
      }
      CHECK(same_bits(together, alone));
    }
  }
}

TEST_CASE("a row's product does not depend on the rows beside it") {
  Random random(13);
  for (const WeightType type : kAllTypes) {
    const std::size_t cols = 512;
    const PackedMatrix w(random, type, 48, cols);
    const std::vector<float> row = random_floats(random, cols);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(doctest::String(name_of(type)));
      const std::vector<float> alone = matmul(*kernels, w.view(), Activations(row, 1, cols, *kernels).rows);
      for (const std::size_t place : {0, 3, 8, 12}) {
        std::vector<float> batch = random_floats(random, 13 * cols, 1000.0f);
        std::copy(row.begin(), row.end(), batch.begin() + static_cast<std::ptrdiff_t>(place * cols));
        const std::vector<float> all =
            matmul(*kernels, w.view(), Activations(batch, 13, cols, *kernels).rows);
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(place * 48);
        CHECK(same_bits(std::vector<float>(begin, begin + 48), alone));
      }
    }
  }
}

TEST_CASE("slices of panels, and runs of whole panels as matrices, give the whole matrix's bits") {
  Random random(14);
  for (const WeightType type : kAllTypes) {
    const std::size_t cols = 256;
    const std::size_t outputs = 5 * kPanelRows + 3;
    const PackedMatrix w(random, type, outputs, cols);
    for (const std::size_t num_rows : {3, 66}) {
      const Activations x(random_floats(random, num_rows * cols), num_rows, cols);
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(doctest::String(name_of(type)));
        CAPTURE(num_rows);
        const std::vector<float> whole = matmul(*kernels, w.view(), x.rows);
        std::vector<float> sliced(whole.size(), 0.0f);
        for (const Range panels : {Range{0, 1}, Range{1, 4}, Range{4, 6}}) {
          kernels->matmul(w.view(), panels, x.rows, sliced.data(), outputs);
        }
        CHECK(same_bits(sliced, whole));

        std::vector<float> parts(whole.size(), 0.0f);
        const PanelMatrix head = {type, 2 * kPanelRows, cols, w.panels.data()};
        const PanelMatrix tail = {type, outputs - 2 * kPanelRows, cols,
                                  w.panels.data() + 2 * panel_bytes(type, cols)};
        kernels->matmul(head, {0, 2}, x.rows, parts.data(), outputs);
        kernels->matmul(tail, {0, 4}, x.rows, parts.data() + 2 * kPanelRows, outputs);
        CHECK(same_bits(parts, whole));
      }
    }
  }
}

TEST_CASE("a matmul writes its own outputs and nothing beside them") {
  Random random(15);
  const PackedMatrix w(random, WeightType::Q4_K, 19, 256);
  const std::size_t stride = 40;
  for (const std::size_t num_rows : {9, 66}) {
    const Activations x(random_floats(random, num_rows * 256), num_rows, 256);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(num_rows);
      std::vector<float> out(num_rows * stride, 5.0f);
      kernels->matmul(w.view(), {0, 2}, x.rows, out.data(), stride);
      std::size_t touched = 0;
      for (std::size_t i = 0; i < out.size(); ++i) touched += i % stride >= 19 && out[i] != 5.0f ? 1 : 0;
      CHECK(touched == 0);
    }
  }
}

TEST_CASE("extreme codes and activations neither saturate nor wrap") {
  for (const WeightType type : {WeightType::Q4_0, WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1,
                                WeightType::Q8_0, WeightType::Q4_K, WeightType::Q5_K, WeightType::Q6_K}) {
    const std::size_t cols = 256;
    const std::size_t outputs = 2 * kPanelRows;
    for (const auto fill : {std::byte{0x00}, std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}}) {
      Random random(16);
      PackedMatrix w(random, type, outputs, cols);
      // Every byte alike but the f16 scales, which stay finite.
      const std::vector<std::byte> scales = w.gguf;
      for (std::byte& b : w.gguf) b = fill;
      const BlockShape shape = block_shape(type);
      for (std::size_t at = 0; at < w.gguf.size(); at += shape.block_bytes) {
        const std::size_t d = type == WeightType::Q6_K ? 208 : 0;
        for (std::size_t i = 0; i < 2; ++i) w.gguf[at + d + i] = scales[at + d + i];
        const bool has_min = type == WeightType::Q4_1 || type == WeightType::Q5_1 ||
                             type == WeightType::Q4_K || type == WeightType::Q5_K;
        for (std::size_t i = 2; has_min && i < 4; ++i) w.gguf[at + i] = scales[at + i];
      }
      pack_panels(type, outputs, cols, w.gguf.data(), w.panels.data());
      for (const float value : {1.0f, -1.0f}) {
        const Activations x(std::vector<float>(69 * cols, value), 69, cols);  // also whole tiles of rows
        const std::vector<float> truth = matmul(scalar_kernels(), w.view(), x.rows);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(doctest::String(name_of(type)));
          CAPTURE(static_cast<int>(fill));
          CHECK(same_bits(matmul(*kernels, w.view(), x.rows), truth));
        }
        for (std::size_t o = 0; o < outputs; ++o) {
          const std::vector<double> weights =
              gguf_values(type, w.gguf.data() + o * gguf_row_bytes(type, cols), cols);
          double sum = 0.0;
          double size = 0.0;
          for (const double weight : weights) {
            sum += weight * static_cast<double>(value);
            size += std::fabs(weight);
          }
          CHECK(std::fabs(static_cast<double>(truth[o]) - sum) <= 1e-5 * size + 1e-9);
        }
      }
    }
  }
}

TEST_CASE(
    "the scalar product is the f64 product of the dequantised matrix, within the activations' rounding") {
  Random random(17);
  for (const WeightType type : kAllTypes) {
    CAPTURE(doctest::String(name_of(type)));
    const std::size_t cols = 512;
    const std::size_t outputs = 64;
    const std::size_t num_rows = 8;
    const PackedMatrix w(random, type, outputs, cols);
    const Activations x(random_floats(random, num_rows * cols), num_rows, cols);
    Eigen::MatrixXd weights(outputs, cols);
    for (std::size_t o = 0; o < outputs; ++o) {
      const std::vector<double> row = gguf_values(type, w.gguf.data() + o * gguf_row_bytes(type, cols), cols);
      weights.row(static_cast<Eigen::Index>(o)) =
          Eigen::Map<const Eigen::RowVectorXd>(row.data(), static_cast<Eigen::Index>(cols));
    }
    using RowMajor = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Eigen::MatrixXd values = Eigen::Map<const RowMajor>(x.x.data(), num_rows, cols).cast<double>();
    const Eigen::MatrixXd truth = values * weights.transpose();
    const std::vector<float> out = matmul(scalar_kernels(), w.view(), x.rows);
    const Eigen::MatrixXd ours = Eigen::Map<const RowMajor>(out.data(), num_rows, outputs).cast<double>();
    const double relative = (ours - truth).norm() / truth.norm();
    // int8 blocks of 32 normal values: a step is max/127, about 2.2/127, its error uniform, hence about 0.5
    // %.
    CHECK(relative < (is_float(type) ? 2e-6 : 0.012));
  }
}
