#include "base/bytes.h"
#include "base/check.h"
#include "kernels/panel_block.h"
#include "kernels/panel_layout.h"

// GGUF's block formats, read one block of 32 columns at a time. Source: the GGUF specification and ggml's
// block structures.
namespace shoal {
namespace {

std::uint8_t byte_at(const std::byte* bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

// 16 bytes: columns 0..15 in the low halves, 16..31 in the high.
void read_nibbles(const std::byte* nibbles, std::uint8_t* codes) {
  for (std::size_t i = 0; i < 16; ++i) {
    const unsigned both = byte_at(nibbles, i);
    codes[i] = static_cast<std::uint8_t>(both & 0xfu);
    codes[i + 16] = static_cast<std::uint8_t>(both >> 4);
  }
}

// Q5_0 and Q5_1: bit i of a 32-bit word is bit 4 of column i.
void add_fifth_bits(std::uint32_t bits, std::uint8_t* codes) {
  for (std::size_t i = 0; i < 32; ++i)
    codes[i] = static_cast<std::uint8_t>(codes[i] | ((bits >> i) & 1u) << 4);
}

// Six-bit scales and mins of 8 sub-blocks in 12 bytes: the first four lie whole, the upper two bits of the
// rest above them.
void read_k_scales(const std::byte* packed, std::size_t block, RawBlock& out) {
  unsigned scale = 0;
  unsigned min = 0;
  if (block < 4) {
    scale = byte_at(packed, block) & 63u;
    min = byte_at(packed, block + 4) & 63u;
  } else {
    const unsigned low = byte_at(packed, block + 4);
    scale = (low & 0xfu) | (static_cast<unsigned>(byte_at(packed, block - 4)) >> 6) << 4;
    min = (low >> 4) | (static_cast<unsigned>(byte_at(packed, block)) >> 6) << 4;
  }
  out.scale[0] = static_cast<std::uint8_t>(scale);
  out.min = static_cast<std::uint8_t>(min);
}

// Q4_K and Q5_K: 32 bytes serve two sub-blocks, one in each half.
void read_k_nibbles(const std::byte* nibbles, std::size_t block, std::uint8_t* codes) {
  const unsigned shift = block % 2 == 0 ? 0 : 4;
  const std::byte* bytes = nibbles + block / 2 * 32;
  for (std::size_t i = 0; i < 32; ++i) {
    codes[i] = static_cast<std::uint8_t>((static_cast<unsigned>(byte_at(bytes, i)) >> shift) & 0xfu);
  }
}

RawBlock read_q4_k(const std::byte* super, std::size_t block) {
  RawBlock raw = {};
  raw.d = load<std::uint16_t>(super);
  raw.m = load<std::uint16_t>(super + 2);
  read_k_scales(super + 4, block, raw);
  read_k_nibbles(super + 16, block, raw.codes);
  return raw;
}

RawBlock read_q5_k(const std::byte* super, std::size_t block) {
  RawBlock raw = {};
  raw.d = load<std::uint16_t>(super);
  raw.m = load<std::uint16_t>(super + 2);
  read_k_scales(super + 4, block, raw);
  read_k_nibbles(super + 48, block, raw.codes);
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned bit = (static_cast<unsigned>(byte_at(super + 16, i)) >> block) & 1u;
    raw.codes[i] = static_cast<std::uint8_t>(raw.codes[i] | bit << 4);
  }
  return raw;
}

// 128 columns (4 blocks) take 64 bytes of nibbles and 32 of upper bits.
RawBlock read_q6_k(const std::byte* super, std::size_t block) {
  const std::size_t half = block / 4;
  const std::size_t quarter = block % 4;
  const std::byte* nibbles = super + half * 64 + (quarter % 2) * 32;
  const std::byte* upper = super + 128 + half * 32;
  const unsigned nibble_shift = quarter < 2 ? 0 : 4;
  const auto upper_shift = static_cast<unsigned>(2 * quarter);
  RawBlock raw = {};
  for (std::size_t i = 0; i < 32; ++i) {
    const unsigned low = (static_cast<unsigned>(byte_at(nibbles, i)) >> nibble_shift) & 0xfu;
    const unsigned high = (static_cast<unsigned>(byte_at(upper, i)) >> upper_shift) & 3u;
    raw.codes[i] = static_cast<std::uint8_t>(low | high << 4);
  }
  raw.scale[0] = byte_at(super, 192 + 2 * block);
  raw.scale[1] = byte_at(super, 193 + 2 * block);
  raw.d = load<std::uint16_t>(super + 208);
  return raw;
}

RawBlock read_q8_0(const std::byte* bytes) {
  RawBlock raw = {};
  raw.d = load<std::uint16_t>(bytes);
  for (std::size_t i = 0; i < 32; ++i) raw.codes[i] = byte_at(bytes, 2 + i) ^ 0x80u;
  return raw;
}

RawBlock read_nibble_block(WeightType type, const std::byte* bytes) {
  RawBlock raw = {};
  raw.d = load<std::uint16_t>(bytes);
  bytes += 2;
  if (type == WeightType::Q4_1 || type == WeightType::Q5_1) {
    raw.m = load<std::uint16_t>(bytes);
    bytes += 2;
  }
  const bool five = type == WeightType::Q5_0 || type == WeightType::Q5_1;
  read_nibbles(five ? bytes + 4 : bytes, raw.codes);
  if (five) add_fifth_bits(load<std::uint32_t>(bytes), raw.codes);
  return raw;
}

}  // namespace

RawBlock read_gguf_block(WeightType type, const std::byte* gguf_row, std::size_t block) {
  const BlockShape shape = block_shape(type);
  SHOAL_CHECK(is_quantised(type));
  const std::size_t blocks_each = shape.block_elements / kPanelBlock;
  const std::byte* at = gguf_row + block / blocks_each * shape.block_bytes;
  switch (type) {
    case WeightType::Q8_0:
      return read_q8_0(at);
    case WeightType::Q4_K:
      return read_q4_k(at, block % blocks_each);
    case WeightType::Q5_K:
      return read_q5_k(at, block % blocks_each);
    case WeightType::Q6_K:
      return read_q6_k(at, block % blocks_each);
    default:
      return read_nibble_block(type, at);
  }
}

}  // namespace shoal
