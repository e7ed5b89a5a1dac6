#include "tests/support/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "base/bytes.h"
#include "base/check.h"
#include "kernels/half.h"

namespace shoal {
namespace {

constexpr std::size_t kBlock = 32;  // values in a simple block, and in a K-quant's sub-block of Q4_K, Q5_K
constexpr std::size_t kSuperBlock = 256;  // values in a K-quant's block

using Block = std::span<const float, kBlock>;
using SuperBlock = std::span<const float, kSuperBlock>;

class Out {
 public:
  explicit Out(std::size_t reserve) { bytes_.reserve(reserve); }
  template <typename T>
  void put(const T& value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    store(bytes_.data() + at, value);
  }
  void put_half(float value) { put(f16_from_float(value)); }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

float rounded_to_half(float value) { return float_from_f16(f16_from_float(value)); }

int nearest_code(float value, float scale, int low, int high) {
  if (scale == 0) return std::clamp(0, low, high);
  return std::clamp(static_cast<int>(std::lround(value / scale)), low, high);
}

// The value furthest from zero, with its sign.
float extreme(std::span<const float> values) {
  return *std::max_element(values.begin(), values.end(),
                           [](float a, float b) { return std::fabs(a) < std::fabs(b); });
}

// Low four bits: the first half's codes in the low nibbles, the second half's in the high ones.
void put_nibbles(Out& out, const std::array<std::uint8_t, kBlock>& codes) {
  for (std::size_t i = 0; i < kBlock / 2; ++i) {
    out.put(static_cast<std::uint8_t>((codes[i] & 15u) | (codes[i + kBlock / 2] & 15u) << 4));
  }
}

// Bit i: the fifth bit of code i.
void put_fifth_bits(Out& out, const std::array<std::uint8_t, kBlock>& codes) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kBlock; ++i) bits |= static_cast<std::uint32_t>(codes[i] >> 4 & 1u) << i;
  out.put(bits);
}

// Q4_0, Q5_0: value = scale * (code - 2^(bits-1)); the extreme value takes code 0.
void put_symmetric(Out& out, Block x, int bits) {
  const int middle = 1 << (bits - 1);
  const float scale = rounded_to_half(extreme(x) / static_cast<float>(-middle));
  std::array<std::uint8_t, kBlock> codes{};
  for (std::size_t i = 0; i < kBlock; ++i) {
    codes[i] = static_cast<std::uint8_t>(nearest_code(x[i], scale, -middle, middle - 1) + middle);
  }
  out.put_half(scale);
  if (bits == 5) put_fifth_bits(out, codes);
  put_nibbles(out, codes);
}

// Q4_1, Q5_1: value = scale * code + min.
void put_affine(Out& out, Block x, int bits) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  const int max_code = (1 << bits) - 1;
  const float scale = rounded_to_half((*high - *low) / static_cast<float>(max_code));
  const float min = rounded_to_half(*low);
  std::array<std::uint8_t, kBlock> codes{};
  for (std::size_t i = 0; i < kBlock; ++i)
    codes[i] = static_cast<std::uint8_t>(nearest_code(x[i] - min, scale, 0, max_code));
  out.put_half(scale);
  out.put_half(min);
  if (bits == 5) put_fifth_bits(out, codes);
  put_nibbles(out, codes);
}

void put_q8(Out& out, Block x) {
  const float scale = rounded_to_half(std::fabs(extreme(x)) / 127.0f);
  out.put_half(scale);
  for (const float value : x) out.put(static_cast<std::int8_t>(nearest_code(value, scale, -127, 127)));
}

// The scales and mins of a Q4_K or Q5_K block: value = (d * scale[j]) * code - (dmin * min[j]) in sub-block
// j, both six bits.
struct SubScales {
  float d = 0;
  float dmin = 0;
  std::array<std::uint8_t, 8> scale{};
  std::array<std::uint8_t, 8> min{};
};

SubScales choose_sub_scales(SuperBlock x, int bits) {
  std::array<float, 8> scale{};
  std::array<float, 8> min{};
  for (std::size_t j = 0; j < 8; ++j) {
    const auto part = x.subspan(j * kBlock, kBlock);
    const auto [low, high] = std::minmax_element(part.begin(), part.end());
    min[j] = std::max(0.0f, -*low);
    scale[j] = (*high + min[j]) / static_cast<float>((1 << bits) - 1);
    scale[j] = std::max(scale[j], 0.0f);
  }
  SubScales chosen;
  chosen.d = rounded_to_half(*std::max_element(scale.begin(), scale.end()) / 63.0f);
  chosen.dmin = rounded_to_half(*std::max_element(min.begin(), min.end()) / 63.0f);
  for (std::size_t j = 0; j < 8; ++j) {
    chosen.scale[j] = static_cast<std::uint8_t>(nearest_code(scale[j], chosen.d, 0, 63));
    chosen.min[j] = static_cast<std::uint8_t>(nearest_code(min[j], chosen.dmin, 0, 63));
  }
  return chosen;
}

// Eight scales and eight mins of six bits in twelve bytes: the first four of each whole, the last four's low
// nibbles together and their top two bits above the first four.
void put_sub_scales(Out& out, const SubScales& s) {
  out.put_half(s.d);
  out.put_half(s.dmin);
  std::array<std::uint8_t, 12> packed{};
  for (std::size_t j = 0; j < 4; ++j) {
    packed[j] = static_cast<std::uint8_t>(s.scale[j] | (s.scale[j + 4] >> 4) << 6);
    packed[j + 4] = static_cast<std::uint8_t>(s.min[j] | (s.min[j + 4] >> 4) << 6);
    packed[j + 8] = static_cast<std::uint8_t>((s.scale[j + 4] & 15) | (s.min[j + 4] & 15) << 4);
  }
  out.put(packed);
}

std::array<std::uint8_t, kSuperBlock> sub_block_codes(SuperBlock x, const SubScales& s, int bits) {
  std::array<std::uint8_t, kSuperBlock> codes{};
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const std::size_t j = i / kBlock;
    const float scale = s.d * static_cast<float>(s.scale[j]);
    const float min = s.dmin * static_cast<float>(s.min[j]);
    codes[i] = static_cast<std::uint8_t>(nearest_code(x[i] + min, scale, 0, (1 << bits) - 1));
  }
  return codes;
}

void put_sub_block_nibbles(Out& out, const std::array<std::uint8_t, kSuperBlock>& codes) {
  for (std::size_t pair = 0; pair < kSuperBlock; pair += 2 * kBlock) {
    for (std::size_t i = 0; i < kBlock; ++i) {
      out.put(static_cast<std::uint8_t>((codes[pair + i] & 15u) | (codes[pair + kBlock + i] & 15u) << 4));
    }
  }
}

void put_q4_k(Out& out, SuperBlock x) {
  const SubScales s = choose_sub_scales(x, 4);
  put_sub_scales(out, s);
  put_sub_block_nibbles(out, sub_block_codes(x, s, 4));
}

void put_q5_k(Out& out, SuperBlock x) {
  const SubScales s = choose_sub_scales(x, 5);
  const std::array<std::uint8_t, kSuperBlock> codes = sub_block_codes(x, s, 5);
  put_sub_scales(out, s);
  for (std::size_t i = 0; i < kBlock; ++i) {
    unsigned bits = 0;  // bit j: the fifth bit of code i of sub-block j
    for (std::size_t j = 0; j < 8; ++j) bits |= (codes[j * kBlock + i] >> 4 & 1u) << j;
    out.put(static_cast<std::uint8_t>(bits));
  }
  put_sub_block_nibbles(out, codes);
}

// Q6_K: value = d * scale[i / 16] * (code - 32), the scale a signed byte.
void put_q6_k(Out& out, SuperBlock x) {
  std::array<float, 16> wanted{};
  for (std::size_t j = 0; j < 16; ++j) wanted[j] = extreme(x.subspan(j * 16, 16)) / -32.0f;
  const float d = rounded_to_half(std::fabs(extreme(wanted)) / 127.0f);
  std::array<std::int8_t, 16> scales{};
  for (std::size_t j = 0; j < 16; ++j)
    scales[j] = static_cast<std::int8_t>(nearest_code(wanted[j], d, -127, 127));
  std::array<unsigned, kSuperBlock> codes{};
  for (std::size_t i = 0; i < kSuperBlock; ++i) {
    const float scale = d * static_cast<float>(scales[i / 16]);
    codes[i] = static_cast<unsigned>(nearest_code(x[i], scale, -32, 31) + 32);
  }
  // Each half of 128: code l and l+64 share a low byte, l+32 and l+96 the next 32; their top bits share one
  // byte.
  for (std::size_t half = 0; half < kSuperBlock; half += 128) {
    for (std::size_t l = 0; l < 64; ++l) {
      out.put(static_cast<std::uint8_t>((codes[half + l] & 15u) | (codes[half + l + 64] & 15u) << 4));
    }
  }
  for (std::size_t half = 0; half < kSuperBlock; half += 128) {
    for (std::size_t l = 0; l < 32; ++l) {
      const unsigned bits = codes[half + l] >> 4 | codes[half + l + 32] >> 4 << 2 |
                            codes[half + l + 64] >> 4 << 4 | codes[half + l + 96] >> 4 << 6;
      out.put(static_cast<std::uint8_t>(bits));
    }
  }
  out.put(scales);
  out.put_half(d);
}

void put_block(Out& out, WeightType type, std::span<const float> x) {
  switch (type) {
    case WeightType::F32:
      return out.put(x[0]);
    case WeightType::F16:
      return out.put_half(x[0]);
    case WeightType::BF16:
      return out.put(bf16_from_float(x[0]));
    case WeightType::Q4_0:
      return put_symmetric(out, Block(x), 4);
    case WeightType::Q4_1:
      return put_affine(out, Block(x), 4);
    case WeightType::Q5_0:
      return put_symmetric(out, Block(x), 5);
    case WeightType::Q5_1:
      return put_affine(out, Block(x), 5);
    case WeightType::Q8_0:
      return put_q8(out, Block(x));
    case WeightType::Q4_K:
      return put_q4_k(out, SuperBlock(x));
    case WeightType::Q5_K:
      return put_q5_k(out, SuperBlock(x));
    case WeightType::Q6_K:
      return put_q6_k(out, SuperBlock(x));
  }
}

}  // namespace

std::vector<std::byte> quantise(WeightType type, std::span<const float> values) {
  const BlockShape block = block_shape(type);
  SHOAL_CHECK(values.size() % block.block_elements == 0);
  Out out(values.size() / block.block_elements * block.block_bytes);
  for (std::size_t at = 0; at < values.size(); at += block.block_elements) {
    put_block(out, type, values.subspan(at, block.block_elements));
  }
  return out.take();
}

}  // namespace shoal
