#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"
#include "kernels/avx512/panel_pairs.h"
#include "kernels/avx512/panel_stream.h"
#include "kernels/avx512/row_tile.h"

namespace shoal::avx512 {
namespace {

constexpr std::size_t kRowsTogether = 8;  // rows of x that share each unpacked block

// What runs once per block is always inlined and unrolled, so that a block's codes and accumulators stay in
// registers.
#define SHOAL_INLINE [[gnu::always_inline]] inline

// A block's exact sums of codes times x over the two halves of its columns: two chains of VPDPBUSD, because
// one of eight would be longer than the rest of the work.
struct Sums {
  __m512i first;
  __m512i second;
};

SHOAL_INLINE Sums multiply_codes(const Block& w, const std::int8_t* values) {
  Sums sums = {_mm512_setzero_si512(), _mm512_setzero_si512()};
#pragma GCC unroll 8
  for (std::size_t g = 0; g < 4; ++g) {
    sums.first = _mm512_dpbusd_epi32(sums.first, w.codes[g], four_columns(values + 4 * g));
    sums.second = _mm512_dpbusd_epi32(sums.second, w.codes[g + 4], four_columns(values + 16 + 4 * g));
  }
  return sums;
}

// The integer that docs/ARITHMETIC.md converts; t are the sums of x over the block's halves.
template <class Panel>
SHOAL_INLINE __m512i exact_sum(const Block& w, const Sums& sums, const std::int32_t* t) {
  if constexpr (Panel::kBits == 6) {
    const __m512i first = _mm512_sub_epi32(sums.first, _mm512_set1_epi32(Panel::kOffset * t[0]));
    const __m512i second = _mm512_sub_epi32(sums.second, _mm512_set1_epi32(Panel::kOffset * t[1]));
    return _mm512_add_epi32(_mm512_mullo_epi32(w.scale6[0], first), _mm512_mullo_epi32(w.scale6[1], second));
  }
  const __m512i sum = _mm512_add_epi32(sums.first, sums.second);
  if constexpr (Panel::kOffset == 0) return sum;
  return _mm512_sub_epi32(sum, _mm512_set1_epi32(Panel::kOffset * (t[0] + t[1])));
}

// One block's terms of the accumulator (docs/ARITHMETIC.md, "Products").
template <class Panel>
SHOAL_INLINE __m512 add_terms(const Block& w, __m512i sum, float s, float st, __m512 acc) {
  const __m512 scale = _mm512_mul_ps(w.scale, _mm512_set1_ps(s));
  acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, acc);
  if constexpr (Panel::kHasMin) acc = _mm512_fmadd_ps(w.min, _mm512_set1_ps(st), acc);
  return acc;
}

template <class Panel, std::size_t R>
SHOAL_INLINE void add_block(const Block& w, const Tile& x, std::size_t block, __m512* acc) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const std::size_t at = r * x.num_blocks + block;
    const Sums sums = multiply_codes(w, x.values + at * kPanelBlock);
    const __m512i sum = exact_sum<Panel>(w, sums, x.half_sums + 2 * at);
    acc[r] = add_terms<Panel>(w, sum, x.scales[at], x.scaled_sums[at], acc[r]);
  }
}

// The first rows to meet a panel read it from memory.
template <class Panel, std::size_t R>
void multiply(Bytes bytes, const Tile& x, bool from_memory, __mmask16 lanes) {
  Panel panel{bytes};
  __m512 acc[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::size_t block = 0; block < x.num_blocks; ++block) {
    if (from_memory) prefetch(panel);
    add_block<Panel, R>(panel.next(block), x, block, acc);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) _mm512_mask_storeu_ps(x.out + r * x.out_stride, lanes, acc[r]);
}

template <class Panel>
void multiply_rows(Bytes bytes, const QuantisedRows& x, float* out, std::size_t out_stride, __mmask16 lanes) {
  std::size_t row = 0;
  const auto tile = [&] { return tile_at(x, row, out, out_stride); };
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether)
    multiply<Panel, kRowsTogether>(bytes, tile(), row == 0, lanes);
  for (; row + 4 <= x.num_rows; row += 4) multiply<Panel, 4>(bytes, tile(), row == 0, lanes);
  for (; row + 2 <= x.num_rows; row += 2) multiply<Panel, 2>(bytes, tile(), row == 0, lanes);
  if (row < x.num_rows) multiply<Panel, 1>(bytes, tile(), row == 0, lanes);
}

// Float weights: 16 output rows of one column, widened.
template <WeightType Type>
SHOAL_INLINE __m512 load_column(Bytes panel, std::size_t col) {
  if constexpr (Type == WeightType::F32) return _mm512_loadu_ps(panel + col * kLine);
  if constexpr (Type == WeightType::F16) return load_f16(panel + col * kScaleBytes);
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel + col * kScaleBytes));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

template <WeightType Type, std::size_t R>
void multiply_float(Bytes panel, const float* x, std::size_t cols, float* out, std::size_t out_stride,
                    __mmask16 lanes) {
  __m512 acc[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::size_t begin = 0; begin < cols; begin += kPanelBlock) {
    const std::size_t end = begin + kPanelBlock < cols ? begin + kPanelBlock : cols;
    __m512 p[R];
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) p[r] = _mm512_setzero_ps();
    for (std::size_t col = begin; col < end; ++col) {
      const __m512 w = load_column<Type>(panel, col);
#pragma GCC unroll 8
      for (std::size_t r = 0; r < R; ++r) p[r] = _mm512_fmadd_ps(w, _mm512_set1_ps(x[r * cols + col]), p[r]);
    }
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) acc[r] = _mm512_add_ps(acc[r], p[r]);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) _mm512_mask_storeu_ps(out + r * out_stride, lanes, acc[r]);
}

template <WeightType Type>
void multiply_float_rows(Bytes bytes, const QuantisedRows& x, float* out, std::size_t out_stride,
                         __mmask16 lanes) {
  std::size_t row = 0;
  const auto values = [&] { return x.f32 + row * x.cols; };
  const auto results = [&] { return out + row * out_stride; };
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether) {
    multiply_float<Type, kRowsTogether>(bytes, values(), x.cols, results(), out_stride, lanes);
  }
  for (; row + 4 <= x.num_rows; row += 4)
    multiply_float<Type, 4>(bytes, values(), x.cols, results(), out_stride, lanes);
  for (; row < x.num_rows; ++row)
    multiply_float<Type, 1>(bytes, values(), x.cols, results(), out_stride, lanes);
}

// A weight type's products: of all rows of x with one panel and, where that exists, with two.
struct PanelKernels {
  void (*one)(Bytes, const QuantisedRows&, float*, std::size_t, __mmask16);
  void (*two)(Bytes, std::size_t, const QuantisedRows&, float*, std::size_t, __mmask16);
};

template <class Panel>
constexpr PanelKernels kQuantised = {multiply_rows<Panel>, multiply_two_panels<Panel>};
template <WeightType Type>
constexpr PanelKernels kFloat = {multiply_float_rows<Type>, nullptr};

const PanelKernels& kernels_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return kQuantised<Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return kQuantised<Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return kQuantised<Symmetric<8, kOffset8>>;
    case WeightType::Q4_1:
      return kQuantised<WithMin<4>>;
    case WeightType::Q5_1:
      return kQuantised<WithMin<5>>;
    case WeightType::Q4_K:
      return kQuantised<SuperWithMin<4>>;
    case WeightType::Q5_K:
      return kQuantised<SuperWithMin<5>>;
    case WeightType::Q6_K:
      return kQuantised<Super6>;
    case WeightType::F32:
      return kFloat<WeightType::F32>;
    case WeightType::F16:
      return kFloat<WeightType::F16>;
    case WeightType::BF16:
      break;
  }
  return kFloat<WeightType::BF16>;
}

#undef SHOAL_INLINE

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  const PanelKernels& kernels = kernels_for(w.type);
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  const bool in_pairs = kernels.two != nullptr && x.num_rows >= kManyRows;
  for (std::size_t panel = panels.begin; panel < panels.end && panel * kPanelRows < w.rows;) {
    const std::size_t first = panel * kPanelRows;
    const std::size_t outputs = w.rows - first;
    if (in_pairs && panel + 1 < panels.end && outputs > kPanelRows) {
      kernels.two(w.panels + panel * bytes, bytes, x, out + first, out_stride, lanes_at(kPanelRows, outputs));
      panel += 2;
    } else {
      kernels.one(w.panels + panel * bytes, x, out + first, out_stride, lanes_at(0, outputs));
      panel += 1;
    }
  }
}

}  // namespace shoal::avx512
