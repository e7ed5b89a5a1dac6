#pragma once

#include "kernels/avx2/panel_stream.h"
#include "kernels/kernel_table.h"

// Products of panels and rows, but for what multiplies codes: `Dot` has
// - multiply<R>(w, x, sums): one block's exact sums (docs/ARITHMETIC.md, "Products", what is converted) of
//   R rows of x and 16 output rows, as floats
// - kHasStart<Panel> and start<Panel>(values, half_sums): a block of a row of x in a form that takes the
//   codes' offset off those sums
// - half_scale(int32s): Q6_K's scales in the form it multiplies by
// Private to each file that includes it.
//
// Many rows: a run of a panel's blocks is unpacked into the first-level cache, and tiles of rows read it
// there. Few rows: blocks are unpacked where they are multiplied.
namespace shoal::avx2 {
namespace {

constexpr std::size_t kTileRows = 4;  // by 16 outputs: 8 vectors of sums, half of the registers
constexpr std::size_t kFewRows = 8;
// Ahead of the stream: the hardware's own prefetch stops at page borders.
constexpr std::ptrdiff_t kPrefetchBytes = 8192;
constexpr std::size_t kRunBlocks = 24;  // unpacked at a time: at most 17 KB
constexpr std::size_t kRunRows = 64;    // which share what was unpacked
static_assert(kRunBlocks % kSuperBlocks == 0 && kRunRows % kTileRows == 0);

#define SHOAL_INLINE [[gnu::always_inline]] inline

// Where the sums of one row and block start; what it means is Dot's.
struct Start {
  std::int32_t first;
  std::int32_t second;
};
constexpr std::size_t kStarts = kRunRows * kRunBlocks;

// Rows of x from one row and block on.
struct XRows {
  const std::int8_t* values;
  const float* scales;
  const float* scaled_sums;
  std::size_t stride;  // from row to row, in blocks
  const Start* starts;
  std::size_t starts_stride;
};

// The same block of each row.
struct XBlock {
  const XRows& rows;
  std::size_t block;

  SHOAL_INLINE std::size_t at(std::size_t r) const { return r * rows.stride + block; }
  SHOAL_INLINE __m256i four_columns(std::size_t r, std::size_t g) const {
    std::int32_t packed;
    __builtin_memcpy(&packed, rows.values + at(r) * kPanelBlock + 4 * g, sizeof packed);
    return _mm256_set1_epi32(packed);
  }
  SHOAL_INLINE __m256 scale(std::size_t r) const { return _mm256_set1_ps(rows.scales[at(r)]); }
  SHOAL_INLINE __m256 scaled_sum(std::size_t r) const { return _mm256_set1_ps(rows.scaled_sums[at(r)]); }
  SHOAL_INLINE __m256i first_start(std::size_t r) const {
    return _mm256_set1_epi32(rows.starts[r * rows.starts_stride + block].first);
  }
  SHOAL_INLINE __m256i second_start(std::size_t r) const {
    return _mm256_set1_epi32(rows.starts[r * rows.starts_stride + block].second);
  }
};

// One block's terms of R rows' accumulators.
template <class Dot, std::size_t R, class Block>
SHOAL_INLINE void add_block(const Block& w, const XBlock& x, __m256 (*acc)[2]) {
  __m256 sums[R][2];
  Dot::template multiply<R>(w, x, sums);
#pragma GCC unroll 2
  for (std::size_t half = 0; half < 2; ++half) {
    const __m256 whole = w.template scale<Scale::Whole>(half);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      const __m256 scale = _mm256_mul_ps(whole, x.scale(r));
      acc[r][half] = _mm256_fmadd_ps(sums[r][half], scale, acc[r][half]);
      if constexpr (Block::Panel::kHasMin)
        acc[r][half] = _mm256_fmadd_ps(w.template scale<Scale::Min>(half), x.scaled_sum(r), acc[r][half]);
    }
  }
}

// Where a panel's results go: `outputs` columns of rows `out_stride` apart.
struct Target {
  float* out;
  std::size_t out_stride;
  std::size_t outputs;

  SHOAL_INLINE Target from_row(std::size_t row) const {
    return {out + row * out_stride, out_stride, outputs};
  }
};

// Accumulators start from 0, or from what the blocks before `first_block` left in their results.
template <std::size_t R>
SHOAL_INLINE void begin_results(std::size_t first_block, const Target& target, __m256 (*acc)[2]) {
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) {
    const float* out = target.out + r * target.out_stride;
    acc[r][0] = first_block == 0 ? _mm256_setzero_ps() : load_at(out, 0, target.outputs);
    acc[r][1] = first_block == 0 ? _mm256_setzero_ps() : load_at(out, 8, target.outputs);
  }
}

template <std::size_t R>
SHOAL_INLINE void store_results(const __m256 (*acc)[2], const Target& target) {
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) {
    float* out = target.out + r * target.out_stride;
    store_at(out, 0, target.outputs, acc[r][0]);
    store_at(out, 8, target.outputs, acc[r][1]);
  }
}

// Consecutive blocks of every row and panel.
struct Run {
  std::size_t first_block;
  std::size_t num_blocks;
};

template <class Dot, std::size_t R, class Panel>
[[gnu::noinline]] void multiply_tile(const UnpackedBlock<Panel>* w, const Run& run, const XRows& x,
                                     const Target& target) {
  __m256 acc[R][2];
  begin_results<R>(run.first_block, target, acc);
  for (std::size_t block = 0; block < run.num_blocks; ++block)
    add_block<Dot, R>(w[block], XBlock{x, block}, acc);
  store_results<R>(acc, target);
}

SHOAL_INLINE XRows from_row(const XRows& x, std::size_t row) {
  return {x.values + row * x.stride * kPanelBlock, x.scales + row * x.stride,
          x.scaled_sums + row * x.stride,          x.stride,
          x.starts + row * x.starts_stride,        x.starts_stride};
}

template <class Dot, class Panel>
void multiply_unpacked(const UnpackedBlock<Panel>* w, const Run& run, const XRows& x, std::size_t num_rows,
                       const Target& target) {
  std::size_t row = 0;
  for (; row + 4 <= num_rows; row += 4) multiply_tile<Dot, 4>(w, run, from_row(x, row), target.from_row(row));
  for (; row + 2 <= num_rows; row += 2) multiply_tile<Dot, 2>(w, run, from_row(x, row), target.from_row(row));
  if (row < num_rows) multiply_tile<Dot, 1>(w, run, from_row(x, row), target.from_row(row));
}

// Brings the lines that the stream reads `ahead` bytes after the next block's.
template <class Panel>
SHOAL_INLINE void prefetch(const Panel& panel, std::ptrdiff_t ahead) {
  constexpr std::size_t kBytes = kLine + kCodesBytes<Panel::kBits>;
#pragma GCC unroll 16
  for (std::size_t line = 0; line < kBytes; line += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(panel.at) + ahead + line, _MM_HINT_T0);
  }
}

template <class Dot, std::size_t R, class Panel>
[[gnu::noinline]] void multiply_packed_tile(Bytes bytes, const Run& run, bool from_memory, const XRows& x,
                                            const Target& target) {
  Panel panel{bytes};
  __m256 acc[R][2];
  begin_results<R>(run.first_block, target, acc);
  for (std::size_t block = 0; block < run.num_blocks; ++block) {
    if (from_memory) prefetch(panel, kPrefetchBytes);
    add_block<Dot, R>(PackedBlock<Panel>{panel.next(block)}, XBlock{x, block}, acc);
  }
  store_results<R>(acc, target);
}

// The first rows to meet a panel read it from memory.
template <class Dot, class Panel>
void multiply_packed(Bytes bytes, const Run& run, const XRows& x, std::size_t num_rows,
                     const Target& target) {
  std::size_t row = 0;
  for (; row + 4 <= num_rows; row += 4)
    multiply_packed_tile<Dot, 4, Panel>(bytes, run, row == 0, from_row(x, row), target.from_row(row));
  for (; row + 2 <= num_rows; row += 2)
    multiply_packed_tile<Dot, 2, Panel>(bytes, run, row == 0, from_row(x, row), target.from_row(row));
  if (row < num_rows)
    multiply_packed_tile<Dot, 1, Panel>(bytes, run, row == 0, from_row(x, row), target.from_row(row));
}

// A product of quantised weights.
struct Multiplication {
  Bytes bytes;
  std::size_t panel_bytes;
  std::size_t outputs;
  Range panels;
  QuantisedRows x;
  float* out;
  std::size_t out_stride;

  std::size_t num_blocks() const { return (x.cols + kPanelBlock - 1) / kPanelBlock; }
  std::size_t end_panel() const {
    const std::size_t last = (outputs + kPanelRows - 1) / kPanelRows;
    return panels.end < last ? panels.end : last;
  }
  Target target(std::size_t panel, std::size_t row) const {
    const std::size_t first = panel * kPanelRows;
    return {out + row * out_stride + first, out_stride,
            outputs - first < kPanelRows ? outputs - first : kPanelRows};
  }
};

template <class Dot, class Panel>
XRows rows_at(const QuantisedRows& x, std::size_t row, std::size_t num_rows, const Run& run, Start* starts) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  const std::size_t at = row * num_blocks + run.first_block;
  if constexpr (Dot::template kHasStart<Panel>) {
    for (std::size_t r = 0; r < num_rows; ++r) {
      const std::size_t first = at + r * num_blocks;
      for (std::size_t b = 0; b < run.num_blocks; ++b) {
        starts[r * run.num_blocks + b] =
            Dot::template start<Panel>(x.values + (first + b) * kPanelBlock, x.half_sums + 2 * (first + b));
      }
    }
  }
  return {x.values + at * kPanelBlock, x.scales + at, x.scaled_sums + at, num_blocks, starts, run.num_blocks};
}

// function(run) over all blocks, at most `most` at a time.
template <typename Function>
SHOAL_INLINE void for_each_run(std::size_t num_blocks, std::size_t most, Function&& function) {
  for (std::size_t first = 0; first < num_blocks; first += most)
    function(Run{first, num_blocks - first < most ? num_blocks - first : most});
}

template <class Panel>
Bytes run_bytes(const Multiplication& m, std::size_t panel, const Run& run) {
  return m.bytes + panel * m.panel_bytes + run.first_block / kSuperBlocks * Panel::kSuperBytes;
}

template <class Dot, class Panel>
void multiply_many_rows(const Multiplication& m) {
  alignas(kLine) UnpackedBlock<Panel> unpacked[kRunBlocks];
  Start starts[Dot::template kHasStart<Panel> ? kStarts : 1];
  for (std::size_t row = 0; row < m.x.num_rows; row += kRunRows) {
    const std::size_t num_rows = m.x.num_rows - row < kRunRows ? m.x.num_rows - row : kRunRows;
    for_each_run(m.num_blocks(), kRunBlocks, [&](const Run& run) {
      const XRows x = rows_at<Dot, Panel>(m.x, row, num_rows, run, starts);
      for (std::size_t panel = m.panels.begin; panel < m.end_panel(); ++panel) {
        Panel stream{run_bytes<Panel>(m, panel, run)};
        for (std::size_t b = 0; b < run.num_blocks; ++b) {
          prefetch(stream, static_cast<std::ptrdiff_t>(m.panel_bytes));
          unpack<Panel>(stream.next(b), unpacked + b);
        }
        multiply_unpacked<Dot>(unpacked, run, x, num_rows, m.target(panel, row));
      }
    });
  }
}

template <class Dot, class Panel>
void multiply_few_rows(const Multiplication& m) {
  Start starts[Dot::template kHasStart<Panel> ? kStarts : 1];
  for_each_run(m.num_blocks(), kStarts / kFewRows, [&](const Run& run) {
    const XRows x = rows_at<Dot, Panel>(m.x, 0, m.x.num_rows, run, starts);
    for (std::size_t panel = m.panels.begin; panel < m.end_panel(); ++panel)
      multiply_packed<Dot, Panel>(run_bytes<Panel>(m, panel, run), run, x, m.x.num_rows, m.target(panel, 0));
  });
}

template <class Dot, class Panel>
void multiply_rows(const Multiplication& m) {
  if (m.x.num_rows <= kFewRows) {
    multiply_few_rows<Dot, Panel>(m);
  } else {
    multiply_many_rows<Dot, Panel>(m);
  }
}

// Float weights: 8 output rows of one column, widened.
template <WeightType Type>
SHOAL_INLINE __m256 load_column(Bytes panel, std::size_t col, std::size_t half) {
  if constexpr (Type == WeightType::F32)
    return _mm256_loadu_ps(reinterpret_cast<const float*>(panel + col * kLine) + half * 8);
  const Bytes bits = panel + col * kScaleBytes + half * 16;
  if constexpr (Type == WeightType::F16) return load_f16(bits);
  const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bits));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

template <WeightType Type, std::size_t R>
void multiply_float(Bytes panel, const QuantisedRows& x, std::size_t row, const Target& target) {
  const float* values = x.f32 + row * x.cols;
  __m256 acc[R][2];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (std::size_t begin = 0; begin < x.cols; begin += kPanelBlock) {
    const std::size_t end = begin + kPanelBlock < x.cols ? begin + kPanelBlock : x.cols;
    __m256 p[R][2];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) p[r][0] = p[r][1] = _mm256_setzero_ps();
    for (std::size_t col = begin; col < end; ++col) {
      const __m256 low = load_column<Type>(panel, col, 0);
      const __m256 high = load_column<Type>(panel, col, 1);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) {
        const __m256 value = _mm256_set1_ps(values[r * x.cols + col]);
        p[r][0] = _mm256_fmadd_ps(low, value, p[r][0]);
        p[r][1] = _mm256_fmadd_ps(high, value, p[r][1]);
      }
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      acc[r][0] = _mm256_add_ps(acc[r][0], p[r][0]);
      acc[r][1] = _mm256_add_ps(acc[r][1], p[r][1]);
    }
  }
  store_results<R>(acc, target);
}

template <WeightType Type>
void multiply_float_rows(const Multiplication& m) {
  for (std::size_t panel = m.panels.begin; panel < m.end_panel(); ++panel) {
    const Bytes bytes = m.bytes + panel * m.panel_bytes;
    std::size_t row = 0;
    for (; row + kTileRows <= m.x.num_rows; row += kTileRows)
      multiply_float<Type, kTileRows>(bytes, m.x, row, m.target(panel, row));
    for (; row < m.x.num_rows; ++row) multiply_float<Type, 1>(bytes, m.x, row, m.target(panel, row));
  }
}

using Kernel = void (*)(const Multiplication&);

template <class Dot>
Kernel kernel_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return multiply_rows<Dot, Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return multiply_rows<Dot, Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return multiply_rows<Dot, Symmetric<8, kOffset8>>;
    case WeightType::Q4_1:
      return multiply_rows<Dot, WithMin<4>>;
    case WeightType::Q5_1:
      return multiply_rows<Dot, WithMin<5>>;
    case WeightType::Q4_K:
      return multiply_rows<Dot, SuperWithMin<4>>;
    case WeightType::Q5_K:
      return multiply_rows<Dot, SuperWithMin<5>>;
    case WeightType::Q6_K:
      return multiply_rows<Dot, Super6<Dot>>;
    case WeightType::F32:
      return multiply_float_rows<WeightType::F32>;
    case WeightType::F16:
      return multiply_float_rows<WeightType::F16>;
    case WeightType::BF16:
      break;
  }
  return multiply_float_rows<WeightType::BF16>;
}

template <class Dot>
void multiply_panels(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                     std::size_t out_stride) {
  kernel_for<Dot>(w.type)({w.panels, panel_bytes(w.type, w.cols), w.rows, panels, x, out, out_stride});
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::avx2
