#include "kernels/amx/kernels.h"

namespace shoal::amx {
namespace {

constexpr std::uint64_t kProductsPerMultiply = 16 * 16 * 64;
constexpr std::uint64_t kChains = 4;  // hide the latency of a tile product

// Every tile 16 rows of 64 bytes.
struct alignas(64) WholeTiles {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

}  // namespace

std::uint64_t int8_peak(std::size_t rounds) {
  const WholeTiles config;
  asm volatile("ldtilecfg %0" : : "m"(config));  // and all tiles are zero
  for (std::size_t round = 0; round < rounds; ++round) {
    asm volatile(
        "tdpbusd %tmm6, %tmm4, %tmm0\n\t"
        "tdpbusd %tmm7, %tmm4, %tmm1\n\t"
        "tdpbusd %tmm6, %tmm5, %tmm2\n\t"
        "tdpbusd %tmm7, %tmm5, %tmm3");
  }
  asm volatile("tilerelease");
  return std::uint64_t{rounds} * kChains * kProductsPerMultiply;
}

}  // namespace shoal::amx
