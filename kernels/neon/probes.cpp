#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

constexpr std::size_t kChains = 16;  // hide the latency of SDOT
constexpr std::size_t kProductsPerMultiply = 16;

}  // namespace

std::uint64_t int8_peak(std::size_t rounds) {
  const int8x16_t weights = vdupq_n_s8(3);
  const int8x16_t values = vdupq_n_s8(5);
  int32x4_t sums[kChains];
  for (int32x4_t& sum : sums) sum = vdupq_n_s32(0);
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int32x4_t& sum : sums) sum = vdotq_s32(sum, weights, values);
  }
  for (const int32x4_t& sum : sums) asm volatile("" : : "w"(sum));
  return std::uint64_t{rounds} * kChains * kProductsPerMultiply;
}

std::uint64_t read_all(const std::byte* bytes, std::size_t size) {
  constexpr std::size_t kSums = 16;  // independent, so that the adds do not hide the loads
  const auto* words = reinterpret_cast<const std::uint64_t*>(bytes);
  uint64x2_t sums[kSums];
  for (uint64x2_t& sum : sums) sum = vdupq_n_u64(0);
  for (std::size_t at = 0; at + sizeof sums <= size; at += sizeof sums) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSums; ++i) sums[i] = vaddq_u64(sums[i], vld1q_u64(words + at / 8 + 2 * i));
  }
  uint64x2_t all = sums[0];
  for (std::size_t i = 1; i < kSums; ++i) all = vaddq_u64(all, sums[i]);
  return vaddvq_u64(all);
}

}  // namespace shoal::neon
