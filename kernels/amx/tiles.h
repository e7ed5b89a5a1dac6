#pragma once

#include <cstddef>
#include <cstdint>

// Tile registers by number: 0..3 hold sums, 4 rows of x, 5 codes. The compiler's own intrinsics take literals
// alone and do not say that a load reads memory. Private to each file that uses tiles.
namespace shoal::amx {
namespace {

inline constexpr std::size_t kRowsTile = 4;
inline constexpr std::size_t kCodesTile = 5;
inline constexpr std::size_t kTileRows = 16;  // rows of x, hence of sums

// Sums are 16 rows of 16 numbers, rows of x 16 times 32 bytes, codes 8 lines of 4 columns of 16 outputs.
struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 32, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 8};
};

// Tiles are in use while it lives; afterwards a switch of threads need not save them.
class TileUse {
 public:
  TileUse() {
    const TileConfig config;
    asm volatile("ldtilecfg %0" : : "m"(config));
  }
  ~TileUse() { asm volatile("tilerelease"); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

template <std::size_t Tile>
[[gnu::always_inline]] inline void load_tile(const void* from, std::size_t stride) {
  asm volatile("tileloadd (%0,%1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(Tile) : "memory");
}

template <std::size_t Tile>
[[gnu::always_inline]] inline void store_tile(void* to, std::size_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1)" : : "r"(to), "r"(stride), "i"(Tile) : "memory");
}

template <std::size_t Tile>
[[gnu::always_inline]] inline void clear_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(Tile));
}

// Tile Sums += rows of x (signed) times codes.
template <std::size_t Sums, bool SignedCodes>
[[gnu::always_inline]] inline void multiply_tiles() {
  if constexpr (SignedCodes) {
    asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(kRowsTile), "i"(kCodesTile));
  } else {
    asm volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(Sums), "i"(kRowsTile), "i"(kCodesTile));
  }
}

}  // namespace
}  // namespace shoal::amx
