#include "kernels/avx2/kernels.h"
#include "kernels/avx2/panel_products.h"

namespace shoal::avx2 {
namespace {

#define SHOAL_INLINE [[gnu::always_inline]] inline

// VPDPBUSD in 256 bits (AVX-VNNI): exact sums in one instruction for four columns, where VPMADDUBSW takes two
// and 8-bit codes a detour over their signs. Sums start from minus the codes' offset times x's sum.
struct Dpbusd {
  // Products with Q6_K's scales, and their sum, stay below 2^24: floats have them exactly, at less cost than
  // a multiplication of integers.
  SHOAL_INLINE static __m256 half_scale(__m256i scales) { return _mm256_cvtepi32_ps(scales); }

  template <class Panel>
  static constexpr bool kHasStart = Panel::kOffset != 0;

  template <class Panel>
  static Start start(const std::int8_t*, const std::int32_t* half_sums) {
    if constexpr (Panel::kBits == 6) return {-Panel::kOffset * half_sums[0], -Panel::kOffset * half_sums[1]};
    return {-Panel::kOffset * (half_sums[0] + half_sums[1]), 0};
  }

  // Column groups [begin, end).
  template <std::size_t R, class Block>
  SHOAL_INLINE static void add_groups(const Block& w, const XBlock& x, std::size_t begin, std::size_t end,
                                      __m256i (*sums)[2]) {
#pragma GCC unroll 8
    for (std::size_t g = begin; g < end; ++g) {
      const __m256i codes[2] = {w.code(g, 0), w.code(g, 1)};
#pragma GCC unroll 4
      for (std::size_t r = 0; r < R; ++r) {
        const __m256i columns = x.four_columns(r, g);
        sums[r][0] = _mm256_dpbusd_avx_epi32(sums[r][0], codes[0], columns);
        sums[r][1] = _mm256_dpbusd_avx_epi32(sums[r][1], codes[1], columns);
      }
    }
  }

  template <std::size_t R, class Block>
  SHOAL_INLINE static void multiply(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    using Panel = typename Block::Panel;
    __m256i integers[R][2];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r)
      integers[r][0] = integers[r][1] = kHasStart<Panel> ? x.first_start(r) : _mm256_setzero_si256();
    add_groups<R>(w, x, 0, Panel::kBits == 6 ? 4 : 8, integers);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      sums[r][0] = _mm256_cvtepi32_ps(integers[r][0]);
      sums[r][1] = _mm256_cvtepi32_ps(integers[r][1]);
    }
    if constexpr (Panel::kBits == 6) add_second_half<R>(w, x, sums);
  }

  template <std::size_t R, class Block>
  SHOAL_INLINE static void add_second_half(const Block& w, const XBlock& x, __m256 (*sums)[2]) {
    __m256i integers[R][2];
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      sums[r][0] = _mm256_mul_ps(sums[r][0], w.template scale<Scale::FirstHalf>(0));
      sums[r][1] = _mm256_mul_ps(sums[r][1], w.template scale<Scale::FirstHalf>(1));
      integers[r][0] = integers[r][1] = x.second_start(r);
    }
    add_groups<R>(w, x, 4, 8, integers);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 2
      for (std::size_t half = 0; half < 2; ++half) {
        const __m256 second = _mm256_cvtepi32_ps(integers[r][half]);
        sums[r][half] = _mm256_fmadd_ps(second, w.template scale<Scale::SecondHalf>(half), sums[r][half]);
      }
    }
  }
};

#undef SHOAL_INLINE

}  // namespace

void matmul_vnni(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                 std::size_t out_stride) {
  multiply_panels<Dpbusd>(w, panels, x, out, out_stride);
}

}  // namespace shoal::avx2
