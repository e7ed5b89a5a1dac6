#include "kernels/avx2/kernels.h"
#include "kernels/avx2/panel_products.h"

// VPDPBUSD in 256 bits (AVX-VNNI): exact sums in one instruction for four columns, where VPMADDUBSW takes two
// or three and 8-bit codes a detour over their signs.
namespace shoal::avx2 {
namespace {

struct Dpbusd {
  static constexpr std::int32_t kOffset8 = shoal::kOffset8;

  template <int Bits, std::size_t R>
  [[gnu::always_inline]] static void multiply(Bytes codes, const std::int8_t* const* x, Sums* sums) {
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) sums[r] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
#pragma GCC unroll 8
    for (std::size_t i = 0; i < 4; ++i) {
      const Codes w = read_codes<Bits>(codes, i);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        // Q6_K keeps the halves apart. Others have the registers for one chain alone.
        __m256i& second = Bits == 6 ? sums[r].d1 : sums[r].d0;
        sums[r].d0 = _mm256_dpbusd_avx_epi32(sums[r].d0, w.first, four_columns(x[r] + 4 * i));
        second = _mm256_dpbusd_avx_epi32(second, w.second, four_columns(x[r] + 16 + 4 * i));
      }
    }
  }
};

}  // namespace

void matmul_vnni(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                 std::size_t out_stride) {
  multiply_panels<Dpbusd>(w, panels, x, out, out_stride);
}

}  // namespace shoal::avx2
