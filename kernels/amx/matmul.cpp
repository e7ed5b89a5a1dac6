#include "kernels/amx/kernels.h"
#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"
#include "kernels/avx512/panel_stream.h"

// A line of codes (kernels/panels.h) is one row of a tile product's second operand: 8 lines are 32 columns of
// 16 outputs. The first operand is 16 rows of x where they lie. A tile product gives the exact integer sums
// of one block; the vector units turn those of the block before into terms of the accumulators meanwhile.
namespace shoal::amx {
namespace {

using namespace avx512;  // its panel streams and lanes
using avx512::Bytes;     // not the vector of base/bytes.h

constexpr std::size_t kTileRows = 16;  // rows of x in a tile
constexpr std::size_t kChunkBlocks =
    24;  // blocks unpacked at a time: 15 KB, which the first-level cache keeps

#define SHOAL_INLINE [[gnu::always_inline]] inline

// Q6_K has a scale for each half of a block: codes times scales take 14 bits, so they are split into two
// tiles and a block's sum is 128 times the first's sums plus the second's.
template <class Panel>
constexpr std::size_t kCodeTiles = Panel::kBits == 6 ? 2 : 1;

// One block of 16 output rows as the products read it. Codes are signed when the type has an offset, which is
// then subtracted already.
template <class Panel>
struct alignas(kLine) UnpackedBlock {
  std::int8_t codes[kCodeTiles<Panel>][8 * kLine];
  float scale[kPanelRows];
  float min[kPanelRows];
};

SHOAL_INLINE void store_codes(std::int8_t* to, std::size_t group, __m512i codes) {
  _mm512_store_si512(to + group * kLine, codes);
}

// scale6 * (code - 32), in 16 bits: 128 * high + low.
SHOAL_INLINE void store_scaled_codes(const Block& block, UnpackedBlock<Super6>* to) {
  for (std::size_t g = 0; g < 8; ++g) {
    const __m512i codes = _mm512_sub_epi8(block.codes[g], _mm512_set1_epi8(kOffset6));
    // Every 32-bit lane of scale6 belongs to one output row, as do the four codes in it: twice in 16 bits.
    const __m512i scale = _mm512_and_si512(block.scale6[g / 4], _mm512_set1_epi32(0xffff));
    const __m512i scales = _mm512_or_si512(scale, _mm512_slli_epi32(scale, 16));
    const __m512i even = _mm512_mullo_epi16(_mm512_srai_epi16(_mm512_slli_epi16(codes, 8), 8), scales);
    const __m512i odd = _mm512_mullo_epi16(_mm512_srai_epi16(codes, 8), scales);
    const __m512i half = _mm512_set1_epi16(64);
    const __m512i even_high = _mm512_srai_epi16(_mm512_add_epi16(even, half), 7);
    const __m512i odd_high = _mm512_srai_epi16(_mm512_add_epi16(odd, half), 7);
    const __m512i even_low = _mm512_sub_epi16(even, _mm512_slli_epi16(even_high, 7));
    const __m512i odd_low = _mm512_sub_epi16(odd, _mm512_slli_epi16(odd_high, 7));
    constexpr __mmask64 kOdd = 0xaaaaaaaaaaaaaaaa;
    store_codes(to->codes[0], g, _mm512_mask_mov_epi8(even_high, kOdd, _mm512_slli_epi16(odd_high, 8)));
    store_codes(to->codes[1], g, _mm512_mask_mov_epi8(even_low, kOdd, _mm512_slli_epi16(odd_low, 8)));
  }
}

template <class Panel>
SHOAL_INLINE void unpack(const Block& block, UnpackedBlock<Panel>* to) {
  if constexpr (Panel::kBits == 6) {
    store_scaled_codes(block, to);
  } else {
    const __m512i offset = _mm512_set1_epi8(static_cast<char>(Panel::kOffset));
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g) {
      store_codes(to->codes[0], g,
                  Panel::kOffset == 0 ? block.codes[g] : _mm512_sub_epi8(block.codes[g], offset));
    }
  }
  _mm512_store_ps(to->scale, block.scale);
  if constexpr (Panel::kHasMin) _mm512_store_ps(to->min, block.min);
}

// Tiles: sums of two blocks in turn (two each for Q6_K), x, codes.
struct alignas(kLine) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {};
  std::uint8_t rows[16] = {};
};

void configure_tiles() {
  TileConfig config;
  for (std::size_t tile = 0; tile < 4; ++tile) {
    config.row_bytes[tile] = kLine;
    config.rows[tile] = kTileRows;
  }
  for (const std::size_t x : {4, 6}) {
    config.row_bytes[x] = kPanelBlock;
    config.rows[x] = kTileRows;
    config.row_bytes[x + 1] = kLine;
    config.rows[x + 1] = kPanelBlock / 4;
  }
  _tile_loadconfig(&config);
}

// The sums of one block: [code tile][row][output].
template <class Panel>
struct alignas(kLine) Sums {
  std::int32_t values[kCodeTiles<Panel>][kTileRows][kPanelRows];
};

template <class Panel>
SHOAL_INLINE void multiply_tile(const std::int8_t* x, std::size_t stride, const UnpackedBlock<Panel>& w,
                                Sums<Panel>* sums) {
  _tile_loadd(4, x, static_cast<long>(stride));
  _tile_loadd(5, w.codes[0], kLine);
  _tile_zero(0);
  if constexpr (Panel::kOffset == 0) {
    _tile_dpbsud(0, 4, 5);
  } else {
    _tile_dpbssd(0, 4, 5);
  }
  _tile_stored(0, sums->values[0], kLine);
  if constexpr (Panel::kBits == 6) {
    _tile_loadd(7, w.codes[1], kLine);
    _tile_zero(1);
    _tile_dpbssd(1, 4, 7);
    _tile_stored(1, sums->values[1], kLine);
  }
}

template <class Panel>
SHOAL_INLINE __m512i sum_of(const Sums<Panel>& sums, std::size_t row) {
  const __m512i first = _mm512_load_si512(sums.values[0][row]);
  if constexpr (Panel::kBits != 6) return first;
  return _mm512_add_epi32(_mm512_slli_epi32(first, 7),
                          _mm512_load_si512(sums.values[kCodeTiles<Panel> - 1][row]));
}

// 16 rows of x at one block.
struct XBlock {
  const float* scales;
  const float* scaled_sums;
  std::size_t stride;  // blocks from row to row
};

// The terms of one block (docs/ARITHMETIC.md, "Products").
template <class Panel>
SHOAL_INLINE void add_terms(const UnpackedBlock<Panel>& w, const Sums<Panel>& sums, const XBlock& x,
                            __m512* acc) {
  const __m512 scale = _mm512_load_ps(w.scale);
  const __m512 min = Panel::kHasMin ? _mm512_load_ps(w.min) : _mm512_setzero_ps();
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kTileRows; ++r) {
    const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x.scales[r * x.stride]));
    acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_of(sums, r)), both, acc[r]);
    if constexpr (Panel::kHasMin)
      acc[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(x.scaled_sums[r * x.stride]), acc[r]);
  }
}

// Where a panel's results of 16 rows go.
struct Target {
  float* out;
  std::size_t stride;
  __mmask16 lanes;
};

// Blocks [first, first + count) of 16 rows, added to what the blocks before left in `target`.
template <class Panel>
void multiply_chunk(const UnpackedBlock<Panel>* w, const QuantisedRows& x, std::size_t row, std::size_t first,
                    std::size_t count, const Target& target) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  const std::size_t at = row * num_blocks + first;
  const std::int8_t* values = x.values + at * kPanelBlock;
  const std::size_t stride = num_blocks * kPanelBlock;
  Sums<Panel> sums[2];
  __m512 acc[kTileRows];
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kTileRows; ++r)
    acc[r] = first == 0 ? _mm512_setzero_ps()
                        : _mm512_maskz_loadu_ps(target.lanes, target.out + r * target.stride);
  multiply_tile(values, stride, w[0], &sums[0]);
  for (std::size_t block = 0; block < count; ++block) {
    if (block + 1 < count)
      multiply_tile(values + (block + 1) * kPanelBlock, stride, w[block + 1], &sums[(block + 1) % 2]);
    add_terms(w[block], sums[block % 2], {x.scales + at + block, x.scaled_sums + at + block, num_blocks},
              acc);
  }
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kTileRows; ++r)
    _mm512_mask_storeu_ps(target.out + r * target.stride, target.lanes, acc[r]);
}

// All whole tiles of rows times one panel.
template <class Panel>
void multiply_panel(Bytes bytes, const QuantisedRows& x, float* out, std::size_t out_stride,
                    __mmask16 lanes) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  UnpackedBlock<Panel> unpacked[kChunkBlocks];
  Panel panel{bytes};
  for (std::size_t first = 0; first < num_blocks; first += kChunkBlocks) {
    const std::size_t count = num_blocks - first < kChunkBlocks ? num_blocks - first : kChunkBlocks;
    for (std::size_t i = 0; i < count; ++i) unpack<Panel>(panel.next(first + i), &unpacked[i]);
    // Tile loads are opaque to the compiler: what they read must be in memory by then.
    asm volatile("" ::: "memory");
    for (std::size_t row = 0; row + kTileRows <= x.num_rows; row += kTileRows)
      multiply_chunk(unpacked, x, row, first, count, {out + row * out_stride, out_stride, lanes});
  }
}

using PanelKernel = void (*)(Bytes, const QuantisedRows&, float*, std::size_t, __mmask16);

// Null for float types.
PanelKernel kernel_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return multiply_panel<Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return multiply_panel<Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return multiply_panel<Symmetric<8, kOffset8>>;
    case WeightType::Q4_1:
      return multiply_panel<WithMin<4>>;
    case WeightType::Q5_1:
      return multiply_panel<WithMin<5>>;
    case WeightType::Q4_K:
      return multiply_panel<SuperWithMin<4>>;
    case WeightType::Q5_K:
      return multiply_panel<SuperWithMin<5>>;
    case WeightType::Q6_K:
      return multiply_panel<Super6>;
    default:
      return nullptr;
  }
}

#undef SHOAL_INLINE

// Rows [begin, x.num_rows).
QuantisedRows rows_from(const QuantisedRows& x, std::size_t begin) {
  const std::size_t first_block = begin * ((x.cols + kPanelBlock - 1) / kPanelBlock);
  QuantisedRows rows = x;
  rows.num_rows -= begin;
  rows.values += first_block * kPanelBlock;
  rows.scales += first_block;
  rows.scaled_sums += first_block;
  rows.half_sums += 2 * first_block;
  return rows;
}

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  const PanelKernel kernel = kernel_for(w.type);
  if (kernel == nullptr || x.num_rows < kTileRows) return avx512::matmul(w, panels, x, out, out_stride);
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  configure_tiles();
  for (std::size_t panel = panels.begin; panel < panels.end && panel * kPanelRows < w.rows; ++panel) {
    const std::size_t first = panel * kPanelRows;
    const std::size_t outputs = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
    kernel(w.panels + panel * bytes, x, out + first, out_stride, first_lanes(outputs));
  }
  _tile_release();
  const std::size_t rest = x.num_rows / kTileRows * kTileRows;
  if (rest < x.num_rows) avx512::matmul(w, panels, rows_from(x, rest), out + rest * out_stride, out_stride);
}

}  // namespace shoal::amx
