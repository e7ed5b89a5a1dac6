#include <algorithm>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "tests/kernels/kernel_cases.h"

using namespace shoal;
using namespace shoal::test;

namespace {

bool same_rows(const Activations& a, const Activations& b) {
  const std::size_t blocks = a.rows.num_rows * a.rows.num_blocks();
  return std::memcmp(a.rows.values, b.rows.values, blocks * kActivationBlock) == 0 &&
         std::memcmp(a.rows.scales, b.rows.scales, blocks * 4) == 0 &&
         std::memcmp(a.rows.scaled_sums, b.rows.scaled_sums, blocks * 4) == 0 &&
         std::memcmp(a.rows.half_sums, b.rows.half_sums, blocks * 8) == 0;
}

}  // namespace

TEST_CASE("every quantise_rows gives the scalar definition's bits") {
  Random random(21);
  for (const std::size_t cols : {1, 15, 16, 17, 31, 32, 33, 48, 63, 100, 576, 2048}) {
    for (const float deviation : {1e-38f, 1e-30f, 1.0f, 1e30f}) {
      const std::vector<float> x = random_floats(random, 5 * cols, deviation);
      const Activations truth(x, 5, cols, scalar_kernels());
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(cols);
        CAPTURE(deviation);
        CHECK(same_rows(Activations(x, 5, cols, *kernels), truth));
      }
    }
  }
}

TEST_CASE("infinities, NaNs, denormals and zeros quantise alike everywhere") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Random random(22);
  for (const float odd : {kInfinity, -kInfinity, kNan, 1e-45f, -0.0f, 0x1p-120f, 0x1.fffffep-121f, 3.4e38f}) {
    for (const bool alone : {true, false}) {
      std::vector<float> x = alone ? std::vector<float>(40, 0.0f) : random_floats(random, 40);
      x[7] = odd;
      x[38] = odd;
      const Activations truth(x, 1, 40, scalar_kernels());
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(odd);
        CHECK(same_rows(Activations(x, 1, 40, *kernels), truth));
      }
    }
  }
}

TEST_CASE("an odd value anywhere in a long row quantises alike everywhere") {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Random random(24);
  for (const std::size_t cols : {512, 544, 1000}) {
    for (int trial = 0; trial < 40; ++trial) {
      std::vector<float> x = random_floats(random, 3 * cols);
      for (const float odd : {kInfinity, -kInfinity, kNan, -kNan, 1e-45f, 3.4e38f, -3.4e38f})
        x[random.below(x.size())] = odd;
      const std::size_t block = random.below(cols / 32);  // whole blocks of nothing, of NaNs
      std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(cols + 32 * block), 32, 1e-40f);
      std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(2 * cols + 32 * block), 32, kNan);
      const Activations truth(x, 3, cols, scalar_kernels());
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(cols);
        CAPTURE(trial);
        CHECK(same_rows(Activations(x, 3, cols, *kernels), truth));
      }
    }
  }
}

TEST_CASE("quantised blocks restore their values within half a step, and carry the exact sums") {
  Random random(23);
  const Activations x(random_floats(random, 4 * 80, 3.0f), 4, 80);
  for (std::size_t row = 0; row < 4; ++row) {
    for (std::size_t block = 0; block < 3; ++block) {
      const std::size_t at = row * 3 + block;
      int sums[2] = {0, 0};
      int greatest = 0;
      for (std::size_t i = 0; i < 32; ++i) {
        const std::size_t col = block * 32 + i;
        const int q = x.rows.values[at * 32 + i];
        const float value = col < 80 ? x.x[row * 80 + col] : 0.0f;
        CHECK(std::fabs(static_cast<float>(q) * x.rows.scales[at] - value) <= 0.5001f * x.rows.scales[at]);
        sums[i / 16] += q;
        greatest = std::max(greatest, std::abs(q));
      }
      CHECK(greatest == 127);
      CHECK(x.rows.half_sums[2 * at] == sums[0]);
      CHECK(x.rows.half_sums[2 * at + 1] == sums[1]);
      CHECK(x.rows.scaled_sums[at] == x.rows.scales[at] * static_cast<float>(sums[0] + sums[1]));
    }
  }
}

TEST_CASE("a block below 2^-120 becomes zeros with scale zero") {
  const Activations x(std::vector<float>(32, 0x1p-121f), 1, 32);
  CHECK(x.rows.scales[0] == 0.0f);
  CHECK(x.rows.values[5] == 0);
  const Activations y(std::vector<float>(32, 0x1p-120f), 1, 32);
  CHECK(y.rows.values[5] == 127);
}
