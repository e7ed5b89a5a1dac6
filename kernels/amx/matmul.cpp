#include "kernels/amx/kernels.h"
#include "kernels/amx/tiles.h"
#include "kernels/amx/unpack.h"
#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

// A line of codes (kernels/panels.h) is one row of a tile product's second operand: 8 lines are 32 columns of
// 16 outputs. The first operand is 16 rows of x where they lie. A product gives the exact integer sums of one
// block; the vector units turn those of earlier blocks into terms of the accumulators meanwhile.
//
// What bounds it, on Sapphire Rapids: while tiles are in use the 512-bit float units shrink from two to one,
// and a row's block of 16 outputs needs four float operations (conversion, scale, two multiply-adds; three
// without a min). Tile products of bf16, whose sums need no conversion, read twice the bytes and gain nothing
// that lasts.
namespace shoal::amx {
namespace {

using avx512::Bytes;
using avx512::first_lanes;
using avx512::Super6;
using avx512::SuperWithMin;
using avx512::Symmetric;
using avx512::WithMin;

// Tiles of sums in turn. A tile is stored three products after its own: a store that waits for its product
// holds up all tiles behind it.
constexpr std::size_t kTilesInTurn = 4;
// Blocks unpacked at a time: 15 KB (Q6_K: 27), which the first-level cache keeps beside sums and rows.
constexpr std::size_t kChunkBlocks = 24;
static_assert(kChunkBlocks % kSuperBlocks == 0 && kChunkBlocks % kTilesInTurn == 0);

#define SHOAL_INLINE [[gnu::always_inline]] inline

// One product's sums: [row][output].
using TileSums = std::int32_t[kTileRows][kPanelRows];

// 16 rows of x from one block on; from row to row it is `stride` blocks.
struct XTile {
  const std::int8_t* values;
  const float* scales;
  const float* scaled_sums;
  std::size_t stride;
};
SHOAL_INLINE XTile later(const XTile& x, std::size_t blocks) {
  return {x.values + blocks * kPanelBlock, x.scales + blocks, x.scaled_sums + blocks, x.stride};
}

// A turn of the four tiles: the products of consecutive blocks. Where a chunk ends inside it, the last block
// stands in for those past it, because no tile may be left out, and their sums are left alone.
template <class Panel>
struct Turn {
  static constexpr std::size_t kBlocks = kTilesInTurn / kCodeTiles<Panel>;

  const UnpackedBlock<Panel>* w;
  XTile x;
  std::size_t num_blocks;  // 1..kBlocks
};

template <class Panel>
SHOAL_INLINE Turn<Panel> turn_at(const UnpackedBlock<Panel>* w, const XTile& x, std::size_t block,
                                 std::size_t num_blocks) {
  const std::size_t left = num_blocks - block;
  return {w + block, later(x, block), left < Turn<Panel>::kBlocks ? left : Turn<Panel>::kBlocks};
}

// Starts a turn's product `Tile`, then stores the oldest under way.
template <std::size_t Tile, class Panel>
SHOAL_INLINE void start_product(const Turn<Panel>& turn, TileSums& oldest) {
  const std::size_t wanted = Tile / kCodeTiles<Panel>;
  const std::size_t block = wanted < turn.num_blocks ? wanted : turn.num_blocks - 1;
  load_tile<kRowsTile>(turn.x.values + block * kPanelBlock, turn.x.stride * kPanelBlock);
  load_tile<kCodesTile>(turn.w[block].codes[Tile % kCodeTiles<Panel>], kLine);
  clear_tile<Tile>();
  multiply_tiles<Tile, UnpackedBlock<Panel>::kSigned>();
  store_tile<(Tile + 1) % kTilesInTurn>(oldest, kLine);
}

// A block's exact sums for one row; `sums` are those of its code tiles.
template <class Panel>
SHOAL_INLINE __m512i exact_sum(const TileSums* sums, std::size_t row) {
  const __m512i first = _mm512_load_si512(sums[0][row]);
  if constexpr (kCodeTiles<Panel> == 1) return first;
  return _mm512_add_epi32(_mm512_slli_epi32(first, kCutShift), _mm512_load_si512(sums[1][row]));
}

// One block's terms of 16 rows (docs/ARITHMETIC.md, "Products").
template <class Panel>
SHOAL_INLINE void add_terms(const UnpackedBlock<Panel>& w, const TileSums* sums, const XTile& x,
                            __m512* acc) {
  const __m512 scale = _mm512_load_ps(w.scale);
  const __m512 min = Panel::kHasMin ? _mm512_load_ps(w.min) : _mm512_setzero_ps();
#pragma GCC unroll 16
  for (std::size_t r = 0; r < kTileRows; ++r) {
    const __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x.scales[r * x.stride]));
    acc[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(exact_sum<Panel>(sums, r)), both, acc[r]);
    if constexpr (Panel::kHasMin)
      acc[r] = _mm512_fmadd_ps(min, _mm512_set1_ps(x.scaled_sums[r * x.stride]), acc[r]);
  }
}

// Adds the terms of the block whose last product was `Tile` of the turn.
template <std::size_t Tile, class Panel>
SHOAL_INLINE void add_finished(const Turn<Panel>& turn, const TileSums* sums, __m512* acc) {
  constexpr std::size_t kBlock = Tile / kCodeTiles<Panel>;
  if constexpr ((Tile + 1) % kCodeTiles<Panel> == 0) {
    if (kBlock < turn.num_blocks)
      add_terms(turn.w[kBlock], sums + kBlock * kCodeTiles<Panel>, later(turn.x, kBlock), acc);
  }
}

// Starts the next turn's products while the terms of `now` are added.
template <class Panel>
SHOAL_INLINE void overlap(const Turn<Panel>& next, TileSums* next_sums, const Turn<Panel>& now,
                          TileSums* sums, __m512* acc) {
  start_product<0>(next, sums[1]);
  add_finished<0>(now, sums, acc);
  start_product<1>(next, sums[2]);
  add_finished<1>(now, sums, acc);
  start_product<2>(next, sums[3]);
  add_finished<2>(now, sums, acc);
  start_product<3>(next, next_sums[0]);
  add_finished<3>(now, sums, acc);
}

template <class Panel>
SHOAL_INLINE void start(const Turn<Panel>& first, TileSums* unused, TileSums* sums) {
  start_product<0>(first, unused[1]);
  start_product<1>(first, unused[2]);
  start_product<2>(first, unused[3]);
  start_product<3>(first, sums[0]);
}

// Consecutive blocks of a panel, unpacked.
template <class Panel>
struct Chunk {
  const UnpackedBlock<Panel>* w;
  std::size_t first_block;
  std::size_t num_blocks;
};

// Where one panel's results go.
struct Target {
  float* out;
  std::size_t stride;
  __mmask16 lanes;
};

XTile x_tile(const QuantisedRows& x, std::size_t row, std::size_t block) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  const std::size_t at = row * num_blocks + block;
  return {x.values + at * kPanelBlock, x.scales + at, x.scaled_sums + at, num_blocks};
}

// All rows (whole tiles of them) times a chunk, added to what the chunks before left in `target`.
template <class Panel>
[[gnu::noinline]] void multiply_chunk(const Chunk<Panel>& chunk, const QuantisedRows& x,
                                      const Target& target) {
  alignas(kLine) TileSums sums[2][kTilesInTurn];
  std::size_t parity = 0;
  Turn<Panel> now = turn_at(chunk.w, x_tile(x, 0, chunk.first_block), 0, chunk.num_blocks);
  start(now, sums[1], sums[0]);
  for (std::size_t row = 0; row < x.num_rows; row += kTileRows) {
    float* out = target.out + row * target.stride;
    __m512 acc[kTileRows];
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kTileRows; ++r) {
      acc[r] = chunk.first_block == 0 ? _mm512_setzero_ps()
                                      : _mm512_maskz_loadu_ps(target.lanes, out + r * target.stride);
    }
    for (std::size_t block = 0; block < chunk.num_blocks;) {
      block += Turn<Panel>::kBlocks;
      const bool ends = block >= chunk.num_blocks;
      // After the last row the first again, only to push out the sums under way.
      const std::size_t next_row = !ends ? row : row + kTileRows < x.num_rows ? row + kTileRows : 0;
      const Turn<Panel> next =
          turn_at(chunk.w, x_tile(x, next_row, chunk.first_block), ends ? 0 : block, chunk.num_blocks);
      overlap(next, sums[1 - parity], now, sums[parity], acc);
      now = next;
      parity = 1 - parity;
    }
#pragma GCC unroll 16
    for (std::size_t r = 0; r < kTileRows; ++r)
      _mm512_mask_storeu_ps(out + r * target.stride, target.lanes, acc[r]);
  }
}

// Rows of x (whole tiles of them) times one panel.
template <class Panel>
void multiply_panel(Bytes bytes, const QuantisedRows& x, const Target& target) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  UnpackedBlock<Panel> unpacked[kChunkBlocks];
  Panel panel{bytes};
  for (std::size_t first = 0; first < num_blocks; first += kChunkBlocks) {
    const std::size_t count = num_blocks - first < kChunkBlocks ? num_blocks - first : kChunkBlocks;
    for (std::size_t i = 0; i < count; ++i) unpack<Panel>(panel.next(i), &unpacked[i]);
    multiply_chunk<Panel>({unpacked, first, count}, x, target);
  }
}

using PanelKernel = void (*)(Bytes, const QuantisedRows&, const Target&);

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

// Rows [begin, begin + count) of x.
QuantisedRows part_of(const QuantisedRows& x, std::size_t begin, std::size_t count) {
  const std::size_t first_block = begin * ((x.cols + kPanelBlock - 1) / kPanelBlock);
  QuantisedRows rows = x;
  rows.num_rows = count;
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
  const std::size_t num_rows = x.num_rows / kTileRows * kTileRows;
  const QuantisedRows whole_tiles = part_of(x, 0, num_rows);
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  {
    const TileUse tiles;
    for (std::size_t panel = panels.begin; panel < panels.end && panel * kPanelRows < w.rows; ++panel) {
      const std::size_t first = panel * kPanelRows;
      const std::size_t outputs = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
      kernel(w.panels + panel * bytes, whole_tiles, {out + first, out_stride, first_lanes(outputs)});
    }
  }
  if (num_rows == x.num_rows) return;
  avx512::matmul(w, panels, part_of(x, num_rows, x.num_rows - num_rows), out + num_rows * out_stride,
                 out_stride);
}

}  // namespace shoal::amx
