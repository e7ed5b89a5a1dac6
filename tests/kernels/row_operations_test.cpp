#include <algorithm>
#include <cmath>

#include <doctest/doctest.h>

#include "kernels/elementary.h"
#include "tests/kernels/kernel_cases.h"

using namespace shoal;
using namespace shoal::test;

namespace {

constexpr std::size_t kSizes[] = {1, 7, 8, 15, 16, 17, 31, 33, 63, 80, 576, 640, 2048, 4097};

// Values of every size an activation may have, and the ones that catch tails and signs.
std::vector<float> mixed_floats(Random& random, std::size_t n) {
  std::vector<float> values = random_floats(random, n, 5.0f);
  for (std::size_t i = 0; i < n; i += 5) values[i] *= 100.0f;
  for (std::size_t i = 3; i < n; i += 11) values[i] = -0.0f;
  for (std::size_t i = 4; i < n; i += 13) values[i] *= 1e-39f;
  return values;
}

std::vector<float> rms_norm(const KernelTable& kernels, std::vector<float> x,
                            const std::vector<float>& weight, std::size_t num_rows) {
  kernels.rms_norm(x.data(), weight.data(), x.data(), num_rows, weight.size(), 1e-5f);
  return x;
}

using Gated = void (*)(const float*, const float*, float*, std::size_t);

std::vector<float> gated(Gated operation, const std::vector<float>& gate, const std::vector<float>& up) {
  std::vector<float> out(gate.size(), 3.0f);
  operation(gate.data(), up.data(), out.data(), out.size());
  return out;
}

struct RopeCase {
  std::size_t num_heads;
  std::size_t head_dim;
  std::size_t dim;
  bool interleaved;
};

std::vector<float> rope(const KernelTable& kernels, const RopeCase& c, std::vector<float> x,
                        const std::vector<float>& angles) {
  std::vector<float> cos(c.dim / 2);
  std::vector<float> sin(c.dim / 2);
  for (std::size_t i = 0; i < c.dim / 2; ++i) {
    cos[i] = static_cast<float>(cos_f64(static_cast<double>(angles[i])));
    sin[i] = static_cast<float>(sin_f64(static_cast<double>(angles[i])));
  }
  kernels.rope(x.data(), c.num_heads, c.head_dim, c.dim, cos.data(), sin.data(), c.interleaved);
  return x;
}

}  // namespace

TEST_CASE("every rms_norm gives the scalar definition's bits, in place or not") {
  Random random(31);
  for (const std::size_t size : kSizes) {
    const std::vector<float> weight = random_floats(random, size);
    const std::vector<float> x = mixed_floats(random, 3 * size);
    const std::vector<float> truth = rms_norm(scalar_kernels(), x, weight, 3);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(size);
      CHECK(same_bits(rms_norm(*kernels, x, weight, 3), truth));
      std::vector<float> out(x.size());
      kernels->rms_norm(x.data(), weight.data(), out.data(), 3, size, 1e-5f);
      CHECK(same_bits(out, truth));
    }
  }
}

TEST_CASE("rms_norm divides by the root of the mean square") {
  Random random(32);
  const std::vector<float> x = random_floats(random, 576, 3.0f);
  const std::vector<float> weight = random_floats(random, 576);
  const std::vector<float> out = rms_norm(scalar_kernels(), x, weight, 1);
  double squares = 0.0;
  for (const float v : x) squares += static_cast<double>(v) * static_cast<double>(v);
  const double root = std::sqrt(squares / 576 + 1e-5);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double truth = static_cast<double>(x[i]) / root * static_cast<double>(weight[i]);
    CHECK(static_cast<double>(out[i]) == doctest::Approx(truth).epsilon(5e-7));
  }
}

TEST_CASE("every gated product gives the scalar definition's bits, in place or not") {
  Random random(33);
  for (const std::size_t size : kSizes) {
    const std::vector<float> gate = mixed_floats(random, size);
    const std::vector<float> up = mixed_floats(random, size);
    const std::vector<float> silu = gated(scalar_kernels().silu_mul, gate, up);
    const std::vector<float> gelu = gated(scalar_kernels().gelu_mul, gate, up);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(size);
      CHECK(same_bits(gated(kernels->silu_mul, gate, up), silu));
      CHECK(same_bits(gated(kernels->gelu_mul, gate, up), gelu));
      std::vector<float> in_place = gate;
      kernels->silu_mul(in_place.data(), up.data(), in_place.data(), size);
      CHECK(same_bits(in_place, silu));
    }
  }
}

TEST_CASE("silu and gelu are the functions their names promise") {
  Random random(34);
  const std::vector<float> gate = random_floats(random, 4000, 4.0f);
  const std::vector<float> ones(gate.size(), 1.0f);
  const std::vector<float> silu = gated(scalar_kernels().silu_mul, gate, ones);
  const std::vector<float> gelu = gated(scalar_kernels().gelu_mul, gate, ones);
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const double g = static_cast<double>(gate[i]);
    CHECK(std::fabs(static_cast<double>(silu[i]) - g / (1.0 + std::exp(-g))) <= 4e-7 * std::fabs(g));
    const double inner = std::sqrt(2.0 / 3.14159265358979323846) * (g + 0.044715 * g * g * g);
    CHECK(std::fabs(static_cast<double>(gelu[i]) - 0.5 * g * (1.0 + std::tanh(inner))) <=
          6e-7 * std::fabs(g));
  }
}

TEST_CASE("every find_above finds what is not at most the bound, NaN and ties included") {
  Random random(36);
  for (const std::size_t size : kSizes) {
    std::vector<float> x = mixed_floats(random, size);
    if (size > 7) x[5] = std::nanf("");
    for (const float bound : {x[size / 2], -1e30f, 1e30f, std::nanf("")}) {
      std::vector<std::uint32_t> expected;
      for (std::uint32_t i = 0; i < size; ++i)
        if (!(x[i] <= bound)) expected.push_back(i);
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(size);
        std::vector<std::uint32_t> places(size);
        places.resize(kernels->find_above(x.data(), size, bound, places.data()));
        CHECK(places == expected);
      }
    }
  }
}

TEST_CASE("every residual is what quantising left, to the scalar definition's bits") {
  Random random(37);
  for (const std::size_t size : kSizes) {
    const Activations activations(mixed_floats(random, 3 * size), 3, size);
    const std::vector<float>& x = activations.x;
    const QuantisedRows& rows = activations.rows;
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(size);
      std::vector<float> residual(x.size() + 1, 7.0f);
      kernels->subtract_quantised(rows, residual.data());
      CHECK(residual.back() == 7.0f);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const std::size_t block = i / size * rows.num_blocks() + i % size / kActivationBlock;
        const float value =
            static_cast<float>(rows.values[block * kActivationBlock + i % size % kActivationBlock]);
        const float product = rows.scales[block] * value;
        const float expected = x[i] - product;
        REQUIRE(std::memcmp(&residual[i], &expected, 4) == 0);
      }
    }
  }
}

TEST_CASE("every add, scale and division gives the scalar definition's bits") {
  Random random(35);
  for (const std::size_t size : kSizes) {
    const std::vector<float> a = mixed_floats(random, size);
    const std::vector<float> b = mixed_floats(random, size);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(size);
      std::vector<float> sum = a;
      kernels->add(sum.data(), b.data(), size);
      std::vector<float> scaled = a;
      kernels->scale(scaled.data(), 1.25e-3f, size);
      std::vector<float> divided = a;
      kernels->divide(divided.data(), 0.7f, size);
      for (std::size_t i = 0; i < size; ++i) {
        const float expected[3] = {a[i] + b[i], a[i] * 1.25e-3f, a[i] / 0.7f};
        REQUIRE(std::memcmp(&sum[i], &expected[0], 4) == 0);
        REQUIRE(std::memcmp(&scaled[i], &expected[1], 4) == 0);
        REQUIRE(std::memcmp(&divided[i], &expected[2], 4) == 0);
      }
    }
  }
}

TEST_CASE("every rope gives the scalar definition's bits") {
  Random random(36);
  for (const std::size_t head_dim : {16, 64, 80, 128, 256}) {
    for (const std::size_t dim : {head_dim, head_dim / 2, head_dim - 6, std::size_t{2}}) {
      for (const bool interleaved : {false, true}) {
        const RopeCase c = {3, head_dim, dim, interleaved};
        const std::vector<float> x = mixed_floats(random, 3 * head_dim);
        const std::vector<float> angles = random_floats(random, dim / 2, 40.0f);
        const std::vector<float> truth = rope(scalar_kernels(), c, x, angles);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(head_dim);
          CAPTURE(dim);
          CAPTURE(interleaved);
          CHECK(same_bits(rope(*kernels, c, x, angles), truth));
        }
      }
    }
  }
}

TEST_CASE("rope turns each pair by its angle and leaves the rest alone") {
  Random random(37);
  const std::vector<float> x = random_floats(random, 20);
  const std::vector<float> angles = random_floats(random, 4);
  for (const bool interleaved : {false, true}) {
    CAPTURE(interleaved);
    const std::vector<float> out = rope(scalar_kernels(), {1, 20, 8, interleaved}, x, angles);
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t first = interleaved ? 2 * i : i;
      const std::size_t second = interleaved ? 2 * i + 1 : i + 4;
      const double a = static_cast<double>(x[first]);
      const double b = static_cast<double>(x[second]);
      const double angle = static_cast<double>(angles[i]);
      CHECK(static_cast<double>(out[first]) ==
            doctest::Approx(a * std::cos(angle) - b * std::sin(angle)).epsilon(1e-6));
      CHECK(static_cast<double>(out[second]) ==
            doctest::Approx(a * std::sin(angle) + b * std::cos(angle)).epsilon(1e-6));
    }
    for (std::size_t i = 8; i < 20; ++i) CHECK(out[i] == x[i]);
  }
}

TEST_CASE("every max_sum gives the scalar definition's bits") {
  Random random(38);
  for (const std::size_t size : {1, 2, 15, 16, 17, 100, 1000, 1024}) {
    for (const float deviation : {0.0f, 1.0f, 50.0f}) {
      std::vector<float> x = random_floats(random, size, deviation);
      if (deviation == 0.0f) x[size / 2] = -0.0f;  // a tie of zeros: either may be met first
      const MaxSum truth = scalar_kernels().max_sum(x.data(), size);
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(size);
        const MaxSum ours = kernels->max_sum(x.data(), size);
        CHECK(std::memcmp(&ours, &truth, sizeof truth) == 0);
      }
    }
  }
}

TEST_CASE("max_sum is the maximum and the sum of exponentials below it") {
  Random random(39);
  const std::vector<float> x = random_floats(random, 1000, 6.0f);
  const MaxSum found = scalar_kernels().max_sum(x.data(), x.size());
  double sum = 0.0;
  for (const float v : x) sum += std::exp(static_cast<double>(v) - static_cast<double>(found.max));
  CHECK(found.max == *std::max_element(x.begin(), x.end()));
  CHECK(static_cast<double>(found.sum) == doctest::Approx(sum).epsilon(1e-6));
}
