#include <array>
#include <cmath>

#include <doctest/doctest.h>

#include "tests/kernels/kernel_cases.h"
#include "tests/support/slow_run.h"

using namespace shoal;
using namespace shoal::test;

namespace {

using Words = std::array<std::uint32_t, 4>;

// Philox4x32-10, written from the paper and apart from the code under test.
Words philox(Words c, std::uint32_t k0, std::uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    const std::uint64_t a = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t b = std::uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<std::uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<std::uint32_t>(b),
         static_cast<std::uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<std::uint32_t>(a)};
  }
  return c;
}

double noise_of(std::uint64_t seed, std::uint32_t position, std::uint32_t id) {
  const Words words = philox({id / 4, position, 0, 0}, static_cast<std::uint32_t>(seed),
                             static_cast<std::uint32_t>(seed >> 32));
  const double u = (static_cast<double>(words[id % 4] >> 9) + 0.5) / 8388608.0;
  return -std::log(-std::log(u));
}

std::vector<float> gumbel(const KernelTable& kernels, std::uint64_t seed, std::uint32_t position,
                          std::uint32_t first, std::size_t n) {
  std::vector<float> noise(n);
  kernels.gumbel(seed, position, first, noise.data(), n);
  return noise;
}

}  // namespace

TEST_CASE("the test's Philox gives Random123's known answers") {
  CHECK(philox({0, 0, 0, 0}, 0, 0) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, 0xffffffff, 0xffffffff) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, 0xa4093822, 0x299f31d0) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("noise is the double logarithm of Philox's words") {
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{42}, std::uint64_t{0xfedcba9876543210u}}) {
    const std::vector<float> noise = gumbel(scalar_kernels(), seed, 17, 128, 4000);
    for (std::size_t i = 0; i < noise.size(); ++i) {
      const double truth = noise_of(seed, 17, static_cast<std::uint32_t>(128 + i));
      CHECK(std::fabs(static_cast<double>(noise[i]) - truth) <= 1e-6 * (1.0 + std::fabs(truth)));
    }
  }
}

TEST_CASE("every gumbel gives the scalar definition's bits") {
  for (const std::size_t n : {1, 3, 4, 31, 32, 33, 63, 64, 65, 200, 1024}) {
    for (const std::uint32_t first : {0u, 4u, 1024u, 262140u, 0x7fffff00u}) {
      const std::vector<float> truth = gumbel(scalar_kernels(), 0x0123456789abcdefu, 99, first, n);
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(n);
        CAPTURE(first);
        CHECK(same_bits(gumbel(*kernels, 0x0123456789abcdefu, 99, first, n), truth));
      }
    }
  }
}

TEST_CASE("noise depends on the token's id and not on where a block begins") {
  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(doctest::String(kernels->name));
    const std::vector<float> whole = gumbel(*kernels, 7, 3, 0, 400);
    const std::vector<float> part = gumbel(*kernels, 7, 3, 100, 77);
    CHECK(same_bits(part, std::vector<float>(whole.begin() + 100, whole.begin() + 177)));
  }
}

TEST_CASE("noise is finite for every word, and has the mean and spread of a Gumbel variable") {
  const KernelTable& kernels = *runnable_kernels().back();
  double sum = 0.0;
  double squares = 0.0;
  std::size_t num_infinite = 0;
  constexpr std::size_t kBlock = 1 << 18;
  constexpr std::uint32_t kPositions =
      kIsSlowRun ? 8 : 80;  // 21 million words: a one-in-2^24 infinity would be likely seen
  for (std::uint32_t position = 0; position < kPositions; ++position) {
    for (const float g : gumbel(kernels, 1, position, 0, kBlock)) {
      num_infinite += std::isfinite(g) ? 0 : 1;
      sum += static_cast<double>(g);
      squares += static_cast<double>(g) * static_cast<double>(g);
    }
  }
  const double count = static_cast<double>(kBlock) * kPositions;
  const double mean = sum / count;
  CHECK(num_infinite == 0);
  CHECK(mean == doctest::Approx(0.57721566).epsilon(0.002));
  CHECK(squares / count - mean * mean == doctest::Approx(1.6449341).epsilon(0.003));
}
