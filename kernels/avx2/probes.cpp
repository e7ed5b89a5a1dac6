#include <immintrin.h>

#include "kernels/avx2/kernels.h"

namespace shoal::avx2 {
namespace {

constexpr std::size_t kChains = 4;  // an add has one cycle
// Pair sums of int8 products that are added in 16 bits before they are widened; codes of 4 bits allow eight.
constexpr int kAddsBeforeWidening = 8;
constexpr std::size_t kProductsPerMultiply = 32;
constexpr std::size_t kLine = 32;

}  // namespace

std::uint64_t int8_peak(std::size_t rounds) {
  __m256i weights = _mm256_set1_epi8(3);
  const __m256i values = _mm256_set1_epi8(5);
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i pairs[kChains];
  __m256i total = _mm256_setzero_si256();
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 4
    for (__m256i& chain : pairs) chain = _mm256_setzero_si256();
    for (int i = 0; i < kAddsBeforeWidening; ++i) {
#pragma GCC unroll 4
      for (__m256i& chain : pairs) {
        asm volatile("" : "+x"(weights));  // another operand, for all that the compiler knows
        chain = _mm256_add_epi16(chain, _mm256_maddubs_epi16(weights, values));
      }
    }
#pragma GCC unroll 4
    for (const __m256i& chain : pairs) total = _mm256_add_epi32(total, _mm256_madd_epi16(chain, ones));
  }
  asm volatile("" : : "x"(total));
  return std::uint64_t{rounds} * kAddsBeforeWidening * kChains * kProductsPerMultiply;
}

std::uint64_t read_all(const std::byte* bytes, std::size_t size) {
  constexpr std::size_t kLanes = 4;  // independent sums, so that the adds do not hide the loads
  __m256i sums[kLanes];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (std::size_t at = 0; at + kLanes * kLine <= size; at += kLanes * kLine) {
#pragma GCC unroll 4
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const auto* from = reinterpret_cast<const __m256i*>(bytes + at + lane * kLine);
      sums[lane] = _mm256_add_epi64(sums[lane], _mm256_loadu_si256(from));
    }
  }
  const __m256i sum =
      _mm256_add_epi64(_mm256_add_epi64(sums[0], sums[1]), _mm256_add_epi64(sums[2], sums[3]));
  alignas(kLine) std::uint64_t words[4];
  _mm256_store_si256(reinterpret_cast<__m256i*>(words), sum);
  return words[0] + words[1] + words[2] + words[3];
}

}  // namespace shoal::avx2
