#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"
#include "kernels/panel_layout.h"

namespace shoal::avx512 {
namespace {

constexpr std::size_t kRowsTogether = 8;      // rows of x that share each unpacked block
constexpr std::size_t kPrefetchBytes = 1024;  // ahead of the stream: the hardware stops at page borders

// One block of 32 columns of 16 output rows, unpacked. codes[g]: columns 4g..4g+3.
struct Block {
  __m512i codes[8];
  __m512 scale;
  __m512 min;
  __m512i scale6[2];
};

using Bytes = const std::byte*;

// What runs once per block is always inlined and unrolled, so that a block's codes and accumulators stay in
// registers.
#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE __m512i load_line(Bytes from) { return _mm512_loadu_si512(from); }
SHOAL_INLINE __m512 load_f16(Bytes from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
SHOAL_INLINE __m128i load_16(Bytes from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }
SHOAL_INLINE __m512 load_u8(Bytes from) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_16(from))); }

SHOAL_INLINE void read_nibbles(Bytes from, __m512i* codes) {
  const __m512i low = _mm512_set1_epi8(0x0f);
#pragma GCC unroll 8
  for (std::size_t i = 0; i < 4; ++i) {
    const __m512i line = load_line(from + i * kLine);
    codes[i] = _mm512_and_si512(line, low);
    codes[i + 4] = _mm512_and_si512(_mm512_srli_epi16(line, 4), low);
  }
}

// (bits & mask) | codes
SHOAL_INLINE __m512i with_bits(__m512i codes, __m512i bits, char mask) {
  return _mm512_ternarylogic_epi32(codes, bits, _mm512_set1_epi8(mask), 0xf8);
}

SHOAL_INLINE void read_fifth_bits(Bytes from, __m512i* codes) {
  const __m512i plane = load_line(from);
#pragma GCC unroll 8
  for (std::size_t g = 0; g < 8; ++g) {
    const unsigned left = g < 4 ? static_cast<unsigned>(4 - g) : 0;
    const unsigned right = g < 4 ? 0 : static_cast<unsigned>(g - 4);
    codes[g] = with_bits(codes[g], _mm512_srli_epi16(_mm512_slli_epi16(plane, left), right), 0x10);
  }
}

SHOAL_INLINE void read_upper_bits(Bytes from, __m512i* codes) {
#pragma GCC unroll 8
  for (std::size_t h = 0; h < 2; ++h) {
    const __m512i plane = load_line(from + h * kLine);
    codes[4 * h] = with_bits(codes[4 * h], _mm512_slli_epi16(plane, 4), 0x30);
    codes[4 * h + 1] = with_bits(codes[4 * h + 1], _mm512_slli_epi16(plane, 2), 0x30);
    codes[4 * h + 2] = with_bits(codes[4 * h + 2], plane, 0x30);
    codes[4 * h + 3] = with_bits(codes[4 * h + 3], _mm512_srli_epi16(plane, 2), 0x30);
  }
}

template <int Bits>
SHOAL_INLINE void read_codes(Bytes from, __m512i* codes) {
  if constexpr (Bits == 8) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g) codes[g] = load_line(from + g * kLine);
  } else {
    constexpr std::size_t kPlanes = (Bits - 4) * kLine;
    read_nibbles(from + kPlanes, codes);
    if constexpr (Bits == 5) read_fifth_bits(from, codes);
    if constexpr (Bits == 6) read_upper_bits(from, codes);
  }
}

template <int Bits>
constexpr std::size_t kCodesBytes = Bits == 8 ? kCodes8 : kCodes4 + (Bits - 4) * kLine;

// The kinds of quantised panels. Each reads the stream of lines in order: `next` takes block `index` off it.

// Q4_0, Q5_0, Q8_0: pairs of blocks behind a line of d. Products subtract Offset from every code.
template <int BitsOf, std::int32_t OffsetOf>
struct Symmetric {
  static constexpr int kBits = BitsOf;
  Bytes at;
  Bytes header = nullptr;

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = load_f16(header + index % 2 * kScaleBytes);
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }

  SHOAL_INLINE static __m512 add(const Block& w, __m512i d0, __m512i d1, float s, float,
                                 const std::int32_t* t, __m512 acc) {
    const __m512i offset = _mm512_set1_epi32(OffsetOf * (t[0] + t[1]));
    const __m512 d = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_add_epi32(d0, d1), offset));
    return _mm512_fmadd_ps(d, _mm512_mul_ps(w.scale, _mm512_set1_ps(s)), acc);
  }
};

// float(D) * scale * s + min * st
SHOAL_INLINE __m512 add_with_min(const Block& w, __m512i d0, __m512i d1, float s, float st, __m512 acc) {
  const __m512 d = _mm512_cvtepi32_ps(_mm512_add_epi32(d0, d1));
  acc = _mm512_fmadd_ps(d, _mm512_mul_ps(w.scale, _mm512_set1_ps(s)), acc);
  return _mm512_fmadd_ps(w.min, _mm512_set1_ps(st), acc);
}

// Q4_1, Q5_1: d and m before each block.
template <int BitsOf>
struct WithMin {
  static constexpr int kBits = BitsOf;
  Bytes at;

  SHOAL_INLINE Block next(std::size_t) {
    Block block;
    block.scale = load_f16(at);
    block.min = load_f16(at + kScaleBytes);
    read_codes<kBits>(at + kLine, block.codes);
    at += kLine + kCodesBytes<kBits>;
    return block;
  }

  SHOAL_INLINE static __m512 add(const Block& w, __m512i d0, __m512i d1, float s, float st,
                                 const std::int32_t*, __m512 acc) {
    return add_with_min(w, d0, d1, s, st, acc);
  }
};

// Q4_K, Q5_K: d, dmin for 8 blocks; scales and mins for each pair.
template <int BitsOf>
struct SuperWithMin {
  static constexpr int kBits = BitsOf;
  Bytes at;
  Bytes header = nullptr;
  __m512 d = {};
  __m512 negative_dmin = {};

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        d = load_f16(at);
        negative_dmin = _mm512_xor_ps(load_f16(at + kScaleBytes), _mm512_set1_ps(-0.0f));
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = _mm512_mul_ps(d, load_u8(header + index % 2 * 32));
    block.min = _mm512_mul_ps(negative_dmin, load_u8(header + index % 2 * 32 + 16));
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }

  SHOAL_INLINE static __m512 add(const Block& w, __m512i d0, __m512i d1, float s, float st,
                                 const std::int32_t*, __m512 acc) {
    return add_with_min(w, d0, d1, s, st, acc);
  }
};

// Q6_K: d for 8 blocks; a signed scale for each half of a block.
struct Super6 {
  static constexpr int kBits = 6;
  Bytes at;
  Bytes header = nullptr;
  __m512 d = {};

  SHOAL_INLINE Block next(std::size_t index) {
    if (index % 2 == 0) {
      if (index % kSuperBlocks == 0) {
        d = load_f16(at);
        at += kLine;
      }
      header = at;
      at += kLine;
    }
    Block block;
    block.scale = d;
    block.scale6[0] = _mm512_cvtepi8_epi32(load_16(header + index % 2 * 32));
    block.scale6[1] = _mm512_cvtepi8_epi32(load_16(header + index % 2 * 32 + 16));
    read_codes<kBits>(at, block.codes);
    at += kCodesBytes<kBits>;
    return block;
  }

  SHOAL_INLINE static __m512 add(const Block& w, __m512i d0, __m512i d1, float s, float,
                                 const std::int32_t* t, __m512 acc) {
    const __m512i first =
        _mm512_mullo_epi32(w.scale6[0], _mm512_sub_epi32(d0, _mm512_set1_epi32(kOffset6 * t[0])));
    const __m512i second =
        _mm512_mullo_epi32(w.scale6[1], _mm512_sub_epi32(d1, _mm512_set1_epi32(kOffset6 * t[1])));
    const __m512 d = _mm512_cvtepi32_ps(_mm512_add_epi32(first, second));
    return _mm512_fmadd_ps(d, _mm512_mul_ps(w.scale, _mm512_set1_ps(s)), acc);
  }
};

// Rows of x from one row on, and where the results go.
struct Tile {
  const std::int8_t* values;
  const float* scales;
  const float* scaled_sums;
  const std::int32_t* half_sums;
  std::size_t num_blocks;
  float* out;
  std::size_t out_stride;
};

Tile tile_at(const QuantisedRows& x, std::size_t num_blocks, std::size_t row, float* out,
             std::size_t out_stride) {
  const std::size_t at = row * num_blocks;
  return {x.values + at * kPanelBlock, x.scales + at, x.scaled_sums + at, x.half_sums + 2 * at, num_blocks,
          out + row * out_stride,      out_stride};
}

SHOAL_INLINE __m512i four_columns(const std::int8_t* values) {
  std::int32_t packed;
  __builtin_memcpy(&packed, values, sizeof packed);
  return _mm512_set1_epi32(packed);
}

template <class Panel, std::size_t R>
SHOAL_INLINE void add_block(const Block& w, const Tile& x, std::size_t block, __m512* acc) {
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) {
    const std::size_t at = r * x.num_blocks + block;
    const std::int8_t* values = x.values + at * kPanelBlock;
    __m512i d0 = _mm512_setzero_si512();
    __m512i d1 = _mm512_setzero_si512();
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 4; ++g) {
      d0 = _mm512_dpbusd_epi32(d0, w.codes[g], four_columns(values + 4 * g));
      d1 = _mm512_dpbusd_epi32(d1, w.codes[g + 4], four_columns(values + 16 + 4 * g));
    }
    acc[r] = Panel::add(w, d0, d1, x.scales[at], x.scaled_sums[at], x.half_sums + 2 * at, acc[r]);
  }
}

template <class Panel>
SHOAL_INLINE void prefetch(const Panel& panel) {
  constexpr std::size_t kBytes = kLine + kCodesBytes<Panel::kBits>;
  for (std::size_t line = 0; line < kBytes; line += kLine) {
    _mm_prefetch(reinterpret_cast<const char*>(panel.at) + kPrefetchBytes + line, _MM_HINT_T0);
  }
}

template <class Panel, std::size_t R>
void multiply(Bytes bytes, const Tile& x, __mmask16 lanes) {
  Panel panel{bytes};
  __m512 acc[R];
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) acc[r] = _mm512_setzero_ps();
  for (std::size_t block = 0; block < x.num_blocks; ++block) {
    if constexpr (R == 1) prefetch(panel);
    add_block<Panel, R>(panel.next(block), x, block, acc);
  }
#pragma GCC unroll 8
  for (std::size_t r = 0; r < R; ++r) _mm512_mask_storeu_ps(x.out + r * x.out_stride, lanes, acc[r]);
}

template <class Panel>
void multiply_rows(Bytes bytes, const QuantisedRows& x, float* out, std::size_t out_stride, __mmask16 lanes) {
  const std::size_t num_blocks = (x.cols + kPanelBlock - 1) / kPanelBlock;
  std::size_t row = 0;
  const auto tile = [&] { return tile_at(x, num_blocks, row, out, out_stride); };
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether)
    multiply<Panel, kRowsTogether>(bytes, tile(), lanes);
  for (; row + 4 <= x.num_rows; row += 4) multiply<Panel, 4>(bytes, tile(), lanes);
  for (; row + 2 <= x.num_rows; row += 2) multiply<Panel, 2>(bytes, tile(), lanes);
  if (row < x.num_rows) multiply<Panel, 1>(bytes, tile(), lanes);
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

using PanelKernel = void (*)(Bytes, const QuantisedRows&, float*, std::size_t, __mmask16);

PanelKernel kernel_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return multiply_rows<Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return multiply_rows<Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return multiply_rows<Symmetric<8, kOffset8>>;
    case WeightType::Q4_1:
      return multiply_rows<WithMin<4>>;
    case WeightType::Q5_1:
      return multiply_rows<WithMin<5>>;
    case WeightType::Q4_K:
      return multiply_rows<SuperWithMin<4>>;
    case WeightType::Q5_K:
      return multiply_rows<SuperWithMin<5>>;
    case WeightType::Q6_K:
      return multiply_rows<Super6>;
    case WeightType::F32:
      return multiply_float_rows<WeightType::F32>;
    case WeightType::F16:
      return multiply_float_rows<WeightType::F16>;
    case WeightType::BF16:
      break;
  }
  return multiply_float_rows<WeightType::BF16>;
}

#undef SHOAL_INLINE

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  const PanelKernel kernel = kernel_for(w.type);
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  for (std::size_t panel = panels.begin; panel < panels.end && panel * kPanelRows < w.rows; ++panel) {
    const std::size_t first = panel * kPanelRows;
    const std::size_t outputs = w.rows - first < kPanelRows ? w.rows - first : kPanelRows;
    kernel(w.panels + panel * bytes, x, out + first, out_stride, first_lanes(outputs));
  }
}

}  // namespace shoal::avx512
