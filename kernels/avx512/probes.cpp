#include <immintrin.h>

#include "kernels/avx512/kernels.h"

namespace shoal::avx512 {
namespace {

constexpr std::size_t kChains = 16;  // hide the latency of vpdpbusd on two ports
constexpr std::size_t kProductsPerMultiply = 64;
constexpr std::size_t kLine = 64;

}  // namespace

std::uint64_t int8_peak(std::size_t rounds) {
  const __m512i weights = _mm512_set1_epi8(3);
  const __m512i values = _mm512_set1_epi8(5);
  __m512i sums[kChains];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (std::size_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (__m512i& sum : sums) sum = _mm512_dpbusd_epi32(sum, weights, values);
  }
  for (const __m512i& sum : sums) asm volatile("" : : "v"(sum));
  return std::uint64_t{rounds} * kChains * kProductsPerMultiply;
}

std::uint64_t read_all(const std::byte* bytes, std::size_t size) {
  constexpr std::size_t kLanes = 4;  // independent sums, so that the adds do not hide the loads
  __m512i sums[kLanes];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (std::size_t at = 0; at + kLanes * kLine <= size; at += kLanes * kLine) {
#pragma GCC unroll 4
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      sums[lane] = _mm512_add_epi64(sums[lane], _mm512_loadu_si512(bytes + at + lane * kLine));
  }
  const __m512i sum =
      _mm512_add_epi64(_mm512_add_epi64(sums[0], sums[1]), _mm512_add_epi64(sums[2], sums[3]));
  alignas(kLine)
      std::uint64_t words[kLine / sizeof(std::uint64_t)];  // the header's own reduction adds as signed
  _mm512_store_si512(words, sum);
  std::uint64_t total = 0;
  for (const std::uint64_t word : words) total += word;
  return total;
}

}  // namespace shoal::avx512
