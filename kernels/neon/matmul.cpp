#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"
#include "kernels/panel_layout.h"

namespace shoal::neon {
namespace {

constexpr std::size_t kRowsTogether = 4;  // rows of x that share each unpacked quarter of a block
constexpr std::size_t kQuarters = 4;      // of a line: 16 bytes, 4 of the 16 output rows
constexpr std::size_t kQuarter = kLine / kQuarters;

using Bytes = const std::byte*;

// What runs once per block is always inlined and unrolled, so that sums and accumulators stay in registers.
#define SHOAL_INLINE [[gnu::always_inline]] inline

SHOAL_INLINE uint8x16_t load_line(Bytes from) {
  return vld1q_u8(reinterpret_cast<const std::uint8_t*>(from));
}
SHOAL_INLINE float32x4_t load_scales(Bytes from) {
  return load_f16(reinterpret_cast<const std::uint16_t*>(from));
}

// Four 8-bit numbers, widened.
SHOAL_INLINE uint8x8_t load_4(Bytes from) {
  std::uint32_t four;
  __builtin_memcpy(&four, from, sizeof four);
  return vcreate_u8(four);
}
SHOAL_INLINE float32x4_t load_u8(Bytes from) {
  return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(load_4(from)))));
}
SHOAL_INLINE int32x4_t load_i8(Bytes from) {
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(load_4(from)))));
}

template <int Bits>
constexpr std::size_t kCodesBytes = Bits == 8 ? kCodes8 : kCodes4 + (Bits - 4) * kLine;

// Where one block's parts lie.
struct Lines {
  Bytes super;   // d, dmin of a K-quant
  Bytes scales;  // d, m, or 8-bit scales
  Bytes codes;   // planes, then nibbles or bytes
};

// One block of 32 columns of 4 output rows: w[g] holds columns 4g..4g+3. SDOT takes signed numbers: codes of
// up to 6 bits are, and Q8_0's lose their 128 here.
struct Codes {
  int8x16_t w[8];
};

SHOAL_INLINE uint8x16_t masked(uint8x16_t bits, std::uint8_t mask) {
  return vandq_u8(bits, vdupq_n_u8(mask));
}

// Bit g of the plane's bytes at bit 4.
template <int G>
SHOAL_INLINE uint8x16_t fifth_bit(uint8x16_t plane) {
  if constexpr (G < 4) return masked(vshlq_n_u8(plane, 4 - G), 0x10);
  if constexpr (G == 4) return masked(plane, 0x10);
  return masked(vshrq_n_u8(plane, G > 4 ? G - 4 : 1), 0x10);
}

// Bits 2I, 2I+1 of the plane's bytes at bits 4, 5.
template <int I>
SHOAL_INLINE uint8x16_t upper_bits(uint8x16_t plane) {
  if constexpr (I < 2) return masked(vshlq_n_u8(plane, 4 - 2 * I), 0x30);
  if constexpr (I == 2) return masked(plane, 0x30);
  return masked(vshrq_n_u8(plane, 2), 0x30);
}

template <int Bits, int I>
SHOAL_INLINE void read_group(Bytes codes, Codes& block) {
  const uint8x16_t line = load_line(codes + static_cast<std::size_t>((Bits - 4) + I) * kLine);
  uint8x16_t low = masked(line, 0x0f);
  uint8x16_t high = vshrq_n_u8(line, 4);
  if constexpr (Bits == 5) {
    low = vorrq_u8(low, fifth_bit<I>(load_line(codes)));
    high = vorrq_u8(high, fifth_bit<I + 4>(load_line(codes)));
  }
  if constexpr (Bits == 6) {
    low = vorrq_u8(low, upper_bits<I>(load_line(codes)));
    high = vorrq_u8(high, upper_bits<I>(load_line(codes + kLine)));
  }
  block.w[I] = vreinterpretq_s8_u8(low);
  block.w[I + 4] = vreinterpretq_s8_u8(high);
}

template <int Bits>
SHOAL_INLINE Codes read_codes(Bytes codes) {
  Codes block;
  if constexpr (Bits == 8) {
#pragma GCC unroll 8
    for (std::size_t g = 0; g < 8; ++g)
      block.w[g] = vreinterpretq_s8_u8(veorq_u8(load_line(codes + g * kLine), vdupq_n_u8(0x80)));
  } else {
    read_group<Bits, 0>(codes, block);
    read_group<Bits, 1>(codes, block);
    read_group<Bits, 2>(codes, block);
    read_group<Bits, 3>(codes, block);
  }
  return block;
}

// Exact sums of codes times x over the two halves of a block's columns, for 4 output rows.
struct Sums {
  int32x4_t d0;
  int32x4_t d1;
};

SHOAL_INLINE int32x4_t half_sum(const int8x16_t* w, int8x16_t x) {
  int32x4_t sum = vdotq_laneq_s32(vdupq_n_s32(0), w[0], x, 0);
  sum = vdotq_laneq_s32(sum, w[1], x, 1);
  sum = vdotq_laneq_s32(sum, w[2], x, 2);
  return vdotq_laneq_s32(sum, w[3], x, 3);
}

SHOAL_INLINE Sums multiply_codes(const Codes& codes, const std::int8_t* x) {
  return {half_sum(codes.w, vld1q_s8(x)), half_sum(codes.w + 4, vld1q_s8(x + 16))};
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
    float32x4_t d;
  };
  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t quarter) {
    return {load_scales(lines.scales + quarter * 8)};
  }

  SHOAL_INLINE static float32x4_t add(const Scales& w, const Sums& sums, const XScale& x, float32x4_t acc) {
    const int32x4_t offset = vdupq_n_s32(Offset * (x.t0 + x.t1));
    const float32x4_t d = vcvtq_f32_s32(vsubq_s32(vaddq_s32(sums.d0, sums.d1), offset));
    return vfmaq_f32(acc, d, vmulq_n_f32(w.d, x.s));
  }
};

struct ScaleAndMin {
  float32x4_t scale;
  float32x4_t min;
};

// float(D) * scale * s + min * st
SHOAL_INLINE float32x4_t add_with_min(const ScaleAndMin& w, const Sums& sums, const XScale& x,
                                      float32x4_t acc) {
  const float32x4_t d = vcvtq_f32_s32(vaddq_s32(sums.d0, sums.d1));
  acc = vfmaq_f32(acc, d, vmulq_n_f32(w.scale, x.s));
  return vfmaq_n_f32(acc, w.min, x.st);
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
  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t quarter) {
    return {load_scales(lines.scales + quarter * 8), load_scales(lines.scales + kScaleBytes + quarter * 8)};
  }
  SHOAL_INLINE static float32x4_t add(const Scales& w, const Sums& sums, const XScale& x, float32x4_t acc) {
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

  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t quarter) {
    const float32x4_t d = load_scales(lines.super + quarter * 8);
    const float32x4_t negative_dmin = vnegq_f32(load_scales(lines.super + kScaleBytes + quarter * 8));
    return {vmulq_f32(d, load_u8(lines.scales + quarter * 4)),
            vmulq_f32(negative_dmin, load_u8(lines.scales + 16 + quarter * 4))};
  }
  SHOAL_INLINE static float32x4_t add(const Scales& w, const Sums& sums, const XScale& x, float32x4_t acc) {
    return add_with_min(w, sums, x, acc);
  }
};

// Q6_K: a signed scale for each half of a block's columns.
struct Super6 : SuperStream<6> {
  struct Scales {
    float32x4_t d;
    int32x4_t first;
    int32x4_t second;
  };

  SHOAL_INLINE static Scales scales(const Lines& lines, std::size_t quarter) {
    return {load_scales(lines.super + quarter * 8), load_i8(lines.scales + quarter * 4),
            load_i8(lines.scales + 16 + quarter * 4)};
  }
  SHOAL_INLINE static float32x4_t add(const Scales& w, const Sums& sums, const XScale& x, float32x4_t acc) {
    const int32x4_t first = vmulq_s32(w.first, vsubq_s32(sums.d0, vdupq_n_s32(kOffset6 * x.t0)));
    const int32x4_t both = vmlaq_s32(first, w.second, vsubq_s32(sums.d1, vdupq_n_s32(kOffset6 * x.t1)));
    return vfmaq_f32(acc, vcvtq_f32_s32(both), vmulq_n_f32(w.d, x.s));
  }
};

template <class Panel, std::size_t R>
SHOAL_INLINE void add_block(const Lines& lines, const QuantisedRows& x, std::size_t first_at,
                            std::size_t num_blocks, float32x4_t (*acc)[kQuarters]) {
#pragma GCC unroll 4
  for (std::size_t quarter = 0; quarter < kQuarters; ++quarter) {
    const Codes codes = read_codes<Panel::kBits>(lines.codes + quarter * kQuarter);
    const auto scales = Panel::scales(lines, quarter);
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
      const std::size_t at = first_at + r * num_blocks;
      const Sums sums = multiply_codes(codes, x.values + at * kPanelBlock);
      const XScale scale_of_x = {x.scales[at], x.scaled_sums[at], x.half_sums[2 * at],
                                 x.half_sums[2 * at + 1]};
      acc[r][quarter] = Panel::add(scales, sums, scale_of_x, acc[r][quarter]);
    }
  }
}

// Where a panel's results go: `outputs` columns of rows `out_stride` apart.
struct Target {
  float* out;
  std::size_t out_stride;
  std::size_t outputs;
};

template <std::size_t R>
void store_results(const float32x4_t (*acc)[kQuarters], const Target& target, std::size_t row) {
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t i = 0; i < target.outputs; i += kLanes)
      store_at(target.out + (row + r) * target.out_stride, i, target.outputs, acc[r][i / kLanes]);
  }
}

template <std::size_t R>
SHOAL_INLINE void clear(float32x4_t (*acc)[kQuarters]) {
#pragma GCC unroll 4
  for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (std::size_t quarter = 0; quarter < kQuarters; ++quarter) acc[r][quarter] = vdupq_n_f32(0.0f);
  }
}

template <class Panel, std::size_t R>
void multiply(Bytes bytes, const QuantisedRows& x, std::size_t row, const Target& target) {
  const std::size_t num_blocks = x.num_blocks();
  const std::size_t first_at = row * num_blocks;
  Panel panel{bytes};
  float32x4_t acc[R][kQuarters];
  clear<R>(acc);
  for (std::size_t block = 0; block < num_blocks; ++block)
    add_block<Panel, R>(panel.next(block), x, first_at + block, num_blocks, acc);
  store_results<R>(acc, target, row);
}

template <class Panel>
void multiply_rows(Bytes bytes, const QuantisedRows& x, const Target& target) {
  std::size_t row = 0;
  for (; row + kRowsTogether <= x.num_rows; row += kRowsTogether)
    multiply<Panel, kRowsTogether>(bytes, x, row, target);
  for (; row + 2 <= x.num_rows; row += 2) multiply<Panel, 2>(bytes, x, row, target);
  if (row < x.num_rows) multiply<Panel, 1>(bytes, x, row, target);
}

// Float weights: 4 output rows of one column, widened.
template <WeightType Type>
SHOAL_INLINE float32x4_t load_column(Bytes panel, std::size_t col, std::size_t quarter) {
  if constexpr (Type == WeightType::F32)
    return vld1q_f32(reinterpret_cast<const float*>(panel + col * kLine + quarter * 16));
  const Bytes bits = panel + col * kScaleBytes + quarter * 8;
  if constexpr (Type == WeightType::F16) return load_scales(bits);
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(reinterpret_cast<const std::uint16_t*>(bits)), 16));
}

template <WeightType Type, std::size_t R>
void multiply_float(Bytes panel, const QuantisedRows& x, std::size_t row, const Target& target) {
  const float* values = x.f32 + row * x.cols;
  float32x4_t acc[R][kQuarters];
  clear<R>(acc);
  for (std::size_t begin = 0; begin < x.cols; begin += kPanelBlock) {
    const std::size_t end = begin + kPanelBlock < x.cols ? begin + kPanelBlock : x.cols;
    float32x4_t p[R][kQuarters];
    clear<R>(p);
    for (std::size_t col = begin; col < end; ++col) {
#pragma GCC unroll 4
      for (std::size_t quarter = 0; quarter < kQuarters; ++quarter) {
        const float32x4_t w = load_column<Type>(panel, col, quarter);
#pragma GCC unroll 4
        for (std::size_t r = 0; r < R; ++r)
          p[r][quarter] = vfmaq_n_f32(p[r][quarter], w, values[r * x.cols + col]);
      }
    }
#pragma GCC unroll 4
    for (std::size_t r = 0; r < R; ++r) {
#pragma GCC unroll 4
      for (std::size_t quarter = 0; quarter < kQuarters; ++quarter)
        acc[r][quarter] = vaddq_f32(acc[r][quarter], p[r][quarter]);
    }
  }
  store_results<R>(acc, target, row);
}

template <WeightType Type>
void multiply_float_rows(Bytes bytes, const QuantisedRows& x, const Target& target) {
  constexpr std::size_t kTogether = 2;  // of sums and partial sums, two rows fill the registers
  std::size_t row = 0;
  for (; row + kTogether <= x.num_rows; row += kTogether)
    multiply_float<Type, kTogether>(bytes, x, row, target);
  if (row < x.num_rows) multiply_float<Type, 1>(bytes, x, row, target);
}

using PanelKernel = void (*)(Bytes, const QuantisedRows&, const Target&);

PanelKernel kernel_for(WeightType type) {
  switch (type) {
    case WeightType::Q4_0:
      return multiply_rows<Symmetric<4, kOffset4>>;
    case WeightType::Q5_0:
      return multiply_rows<Symmetric<5, kOffset5>>;
    case WeightType::Q8_0:
      return multiply_rows<Symmetric<8, 0>>;
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
    kernel(w.panels + panel * bytes, x, {out + first, out_stride, outputs});
  }
}

}  // namespace shoal::neon
