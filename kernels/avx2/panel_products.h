#pragma once

#include "kernels/avx2/math.h"
#include "kernels/kernel_table.h"
#include "kernels/panel_layout.h"

// Products of panels and rows, but for what multiplies codes: `Dot` has
//     template <int Bits, std::size_t R> static void multiply(Bytes codes, const std::int8_t* const* x, Sums*
//     sums)
// for 8 output rows of one block and R rows of x, and kOffset8: what it leaves to be subtracted from 8-bit
// codes. Private to each file that includes it.
namespace shoal::avx2 {
namespace {

constexpr std::size_t kRowsTogether = 4;  // rows of x that share each unpacked line
// Ahead of the stream. The hardware's own prefetch stops at page borders; measured against 1, 2, 4 and 6 KB.
constexpr std::size_t kPrefetchBytes = 3072;
constexpr std::size_t kHalf = 32;  // bytes of a line that hold 8 of the 16 output rows

using Bytes = const std::byte*;

// What runs once per block is always inlined and unrolled, so that sums and accumulators stay in registers
// and shifts are constants.
#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE __m256i load_line(Bytes from) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
}
SHOAL_INLINE __m256 load_f16(Bytes from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
SHOAL_INLINE __m128i load_8(Bytes from) { return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)); }
SHOAL_INLINE __m256 load_u8(Bytes from) { return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_8(from))); }

template <int Bits>
constexpr std::size_t kCodesBytes = Bits == 8 ? kCodes8 : kCodes4 + (Bits - 4) * kLine;

// Where one block's parts lie; `half` * 8 rows on in each.
struct Lines {
  Bytes super;   // d, dmin of a K-quant
  Bytes scales;  // d, m, or 8-bit scales
  Bytes codes;   // planes, then nibbles or bytes
};

// Exact sums of codes times x, for 8 output rows: over the two halves of a block's columns where they have
// scales of their own (Q6_K); otherwise d0 is the whole sum.
struct Sums {
  __m256i d0;
  __m256i d1;
};

// The codes of column groups i and i + 4, for 8 output rows.
struct Codes {
  __m256i first;
  __m256i second;
};

SHOAL_INLINE __m256i masked(__m256i bits, char mask) {
  return _mm256_and_si256(bits, _mm256_set1_epi8(mask));
}

// The fifth bit of group g, moved to bit 4.
SHOAL_INLINE __m256i fifth_bits(__m256i plane, int g) {
  return masked(g < 4 ? _mm256_slli_epi16(plane, 4 - g) : _mm256_srli_epi16(plane, g - 4), 0x10);
}

// The upper bits of group 4h + i, moved to bits 4 and 5.
SHOAL_INLINE __m256i upper_bits(__m256i plane, int i) {
  return masked(i < 2 ? _mm256_slli_epi16(plane, 4 - 2 * i) : _mm256_srli_epi16(plane, 2 * i - 4), 0x30);
}

template <int Bits>
SHOAL_INLINE Codes read_codes(Bytes codes, std::size_t i) {
  if constexpr (Bits == 8) return {load_line(codes + i * kLine), load_line(codes + (i + 4) * kLine)};
  const __m256i line = load_line(codes + (Bits - 4) * kLine + i * kLine);
  Codes result = {masked(line, 0x0f), masked(_mm256_srli_epi16(line, 4), 0x0f)};
  const int group = static_cast<int>(i);
  if constexpr (Bits == 5) {
    const __m256i plane = load_line(codes);
    result.first = _mm256_or_si256(result.first, fifth_bits(plane, group));
    result.second = _mm256_or_si256(result.second, fifth_bits(plane, group + 4));
  }
  if constexpr (Bits == 6) {
    result.first = _mm256_or_si256(result.first, upper_bits(load_line(codes), group));
    result.second = _mm256_or_si256(result.second, upper_bits(load_line(codes + kLine), group));
  }
  return result;
}

SHOAL_INLINE __m256i four_columns(const std::int8_t* values) {
  std::int32_t packed;
  __builtin_memcpy(&packed, values, sizeof packed);
  return _mm256_set1_epi32(packed);
}

// What one row of x brings to a block besides its values.
struct XScale {
  float s;
  float st;
  std::int32_t t0;
  std::int32_t t1;
};

// The kinds of quantised panels: how lines follow one another, and how a block's sums enter the accumulator.

// Q4_0, Q5_0, Q8_0: pairs of blocks behind a line of d. Products subtract Offset from every code.
template <int BitsOf, std::int32_t Offset>
struct Symmetric {
  static constexpr int kBits = BitsOf;
  Bytes at;
  Bytes header = nullptr;

  SHOAL_INLINE Lines next(std::size_t index) {
    if (index % 2 == 0) {
      header = at;
      at += kLine;
    }
    const Lines lines = {nullptr, header + index % 2 * kScaleBytes, at};
    at += kCodesBytes<kBits>;
    return lines;
  }

  struct Scales {
    __m256 d;
  };
  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t half) {
    return {load_f16(lines.scales + half * 16)};
  }

  SHOAL_INLINE static __m256 add(const Scales& w, const Sums& sums, const XScale& x, __m256 acc) {
    const __m256i offset = _mm256_set1_epi32(Offset * (x.t0 + x.t1));
    const __m256 d = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums.d0, offset));
    return _mm256_fmadd_ps(d, _mm256_mul_ps(w.d, _mm256_set1_ps(x.s)), acc);
  }
};

struct ScaleAndMin {
  __m256 scale;
  __m256 min;
};

// float(D) * scale * s + min * st
SHOAL_INLINE __m256 add_with_min(const ScaleAndMin& w, const Sums& sums, const XScale& x, __m256 acc) {
  const __m256 d = _mm256_cvtepi32_ps(sums.d0);
  acc = _mm256_fmadd_ps(d, _mm256_mul_ps(w.scale, _mm256_set1_ps(x.s)), acc);
  return _mm256_fmadd_ps(w.min, _mm256_set1_ps(x.st), acc);
}

// Q4_1, Q5_1: d and m before each block.
template <int BitsOf>
struct WithMin {
  static constexpr int kBits = BitsOf;
  using Scales = ScaleAndMin;
  Bytes at;

  SHOAL_INLINE Lines next(std::size_t) {
    const Lines lines = {nullptr, at, at + kLine};
    at += kLine + kCodesBytes<kBits>;
    return lines;
  }
  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t half) {
    return {load_f16(lines.scales + half * 16), load_f16(lines.scales + kScaleBytes + half * 16)};
  }
  SHOAL_INLINE static __m256 add(const Scales& w, const Sums& sums, const XScale& x, __m256 acc) {
    return add_with_min(w, sums, x, acc);
  }
};

// The K-quants' stream: a line of d (and dmin) for 8 blocks; a line of 8-bit scales for each pair.
template <int BitsOf>
struct SuperStream {
  static constexpr int kBits = BitsOf;
  Bytes at;
  Bytes header = nullptr;
  Bytes super = nullptr;

  SHOAL_INLINE Lines next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        super = at;
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    const Lines lines = {super, header + index % 2 * 32, at};
    at += kCodesBytes<kBits>;
    return lines;
  }
};

// Q4_K, Q5_K.
template <int BitsOf>
struct SuperWithMin : SuperStream<BitsOf> {
  using Scales = ScaleAndMin;

  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t half) {
    const __m256 d = load_f16(lines.super + half * 16);
    const __m256 negative_dmin =
        _mm256_xor_ps(load_f16(lines.super + kScaleBytes + half * 16), _mm256_set1_ps(-0.0f));
    return {_mm256_mul_ps(d, load_u8(lines.scales + half * 8)),
            _mm256_mul_ps(negative_dmin, load_u8(lines.scales + 16 + half * 8))};
  }
  SHOAL_INLINE static __m256 add(const Scales& w, const Sums& sums, const XScale& x, __m256 acc) {
    return add_with_min(w, sums, x, acc);
  }
};

// Q6_K: a signed scale for each half of a block's columns.
struct Super6 : SuperStream<6> {
  struct Scales {
    __m256 d;
    __m256i first;
    __m256i second;
  };

  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t half) {
    return {load_f16(lines.super + half * 16), _mm256_cvtepi8_epi32(load_8(lines.scales + half * 8)),
            _mm256_cvtepi8_epi32(load_8(lines.scales + 16 + half * 8))};
  }
  SHOAL_INLINE static __m256 add(const Scales& w, const Sums& sums, const XScale& x, __m256 acc) {
    const __m256i first =
        _mm256_mullo_epi32(w.first, _mm256_sub_epi32(sums.d0, _mm256_set1_epi32(kOffset6 * x.t0)));
    const __m256i second =
        _mm256_mullo_epi32(w.second, _mm256_sub_epi32(sums.d1, _mm256_set1_epi32(kOffset6 * x.t1)));
    const __m256 d = _mm256_cvtepi32_ps(_mm256_add_epi32(first, second));
    return _mm256_fmadd_ps(d, _mm256_mul_ps(w.d, _mm256_set1_ps(x.s)), acc);
  }
};

template <class Dot, class Panel, std::size_t R>
SHOAL_INLINE void add_block(const Lines& lines, const QuantisedRows& x, std::size_t first_at,
                            std::size_t num_blocks, __m256 (*acc)[2]) {
  const std::int8_t* values[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) values[r] = x.values + (first_at + r * num_blocks) * kPanelBlock;
  for (std::size_t half = 0; half < 2; ++half) {
    Sums sums[R];
    Dot::template multiply<Panel::kBits, R>(lines.codes + half * kHalf, values, sums);
    const auto scales = Panel::scales(lines, half);
#pragma GCC unroll 8
    for (std::size_t r = 0; r < R; ++r) {
      const std::size_t at = first_at + r * num_blocks;
      const XScale scale_of_x = {x.scales[at], x.scaled_sums[at], x.half_sums[2 * at],
                                 x.half_sums[2 * at + 1]};
      acc[r][half] = Panel::add(scales, sums[r], scale_of_x, acc[r][half]);
    }
  }
}

template <class Panel>
SHOAL_INLINE void prefetch(const Panel& panel) {
  constexpr std::size_t kBytes = kLine + kCodesBytes<Panel::kBits>;
#pragma GCC unroll 16
  for (std::size_t line = 0; line < kBytes; line += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(panel.at) + kPrefetchBytes + line, _MM_HINT_T0);
  }
}

// Where a panel's results go: `outputs` columns of rows `out_stride` apart.
struct Target {
  float* out;
  std::size_t out_stride;
  std::size_t outputs;
};

template <std::size_t R>
void store_results(const __m256 (*acc)[2], const Target& target, std::size_t row) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    float* out = target.out + (row + r) * target.out_stride;
    store_at(out, 0, target.outputs, acc[r][0]);
    store_at(out, 8, target.outputs, acc[r][1]);
  }
}

template <class Dot, class Panel, std::size_t R>
void multiply(Bytes bytes, const QuantisedRows& x, std::size_t row, const Target& target) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  const std::size_t first_at = row * num_blocks;
  Panel panel{bytes};
  __m256 acc[R][2];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_ps();
  for (std::size_t block = 0; block < num_blocks; ++block) {
    if (row == 0) prefetch(panel);  // the first rows to meet a panel read it from memory
    add_block<Dot, Panel, R>(panel.next(block), x, first_at + block, num_blocks, acc);
  }
  store_results<R>(acc, target, row);
}

template <class Dot, class Panel>
void multiply_rows(Bytes bytes, const QuantisedRows& x, const Target& target) {
  std::size_t row = 0;
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether)
    multiply<Dot, Panel, kRowsTogether>(bytes, x, row, target);
  for (; row + 2 <= x.num_rows; row += 2) multiply<Dot, Panel, 2>(bytes, x, row, target);
  if (row < x.num_rows) multiply<Dot, Panel, 1>(bytes, x, row, target);
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
  store_results<R>(acc, target, row);
}

template <WeightType Type>
void multiply_float_rows(Bytes bytes, const QuantisedRows& x, const Target& target) {
  std::size_t row = 0;
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether)
    multiply_float<Type, kRowsTogether>(bytes, x, row, target);
  for (; row < x.num_rows; ++row) multiply_float<Type, 1>(bytes, x, row, target);
}

using PanelKernel = void (*)(Bytes, const QuantisedRows&, const Target&);

template <class Dot>
PanelKernel kernel_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return multiply_rows<Dot, Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return multiply_rows<Dot, Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return multiply_rows<Dot, Symmetric<8, Dot::kOffset8>>;
    case WeightType::Q4_1:
      return multiply_rows<Dot, WithMin<4>>;
    case WeightType::Q5_1:
      return multiply_rows<Dot, WithMin<5>>;
    case WeightType::Q4_K:
      return multiply_rows<Dot, SuperWithMin<4>>;
    case WeightType::Q5_K:
      return multiply_rows<Dot, SuperWithMin<5>>;
    case WeightType::Q6_K:
      return multiply_rows<Dot, Super6>;
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
  const PanelKernel kernel = kernel_for<Dot>(w.type);
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  for (std::size_t panel = panels.begin; panel < panels.end && panel * kPanelRows < w.rows; ++panel) {
    const std::size_t first = panel * kPanelRows;
    const std::size_t outputs = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
    kernel(w.panels + panel * bytes, x, {out + first, out_stride, outputs});
  }
}

#undef SHOAL_INLINE

}  // namespace
}  // namespace shoal::avx2
