#include <array>
#include <cstring>

#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

constexpr std::size_t kOperands = 64;

}  // namespace

// Whatever the compiler makes of a plain dot product: that is what the plain kernels have, too.
std::uint64_t int8_peak(std::size_t rounds) {
  alignas(64) std::array<std::uint8_t, kOperands> weights;
  alignas(64) std::array<std::int8_t, kOperands> values;
  weights.fill(3);
  values.fill(5);
  std::int32_t sum = 0;
  for (std::size_t round = 0; round < rounds; ++round) {
    asm volatile("" : : "r"(weights.data()), "r"(values.data()) : "memory");  // read them again
    for (std::size_t i = 0; i < kOperands; ++i) sum += weights[i] * values[i];
  }
  asm volatile("" : : "r"(sum));
  return std::uint64_t{rounds} * kOperands;
}

std::uint64_t read_all(const std::byte* bytes, std::size_t size) {
  constexpr std::size_t kLanes = 8;  // independent sums, so that the adds do not hide the loads
  std::array<std::uint64_t, kLanes> sums{};
  for (std::size_t at = 0; at + sizeof sums <= size; at += sizeof sums) {
    std::array<std::uint64_t, kLanes> words;
    std::memcpy(words.data(), bytes + at, sizeof words);
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += words[lane];
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : sums) sum += lane;
  return sum;
}

}  // namespace shoal::scalar
