#include "kernels/panel_block.h"

#include "base/bytes.h"
#include "base/check.h"
#include "kernels/half.h"
#include "kernels/panel_layout.h"

namespace shoal {
namespace {

// Blocks in pairs behind a line of scales; K-quants keep four pairs behind a line of their own.
BlockPlace place_in_pairs(std::size_t block, std::size_t codes_bytes, std::size_t super_line) {
  const std::size_t pair_bytes = kLine + 2 * codes_bytes;
  const std::size_t pairs_before = block / 2;
  const std::size_t supers = super_line == 0 ? 0 : block / kSuperBlocks + 1;
  const std::size_t pair = pairs_before * pair_bytes + supers * super_line;
  BlockPlace place;
  place.super = block / kSuperBlocks * (4 * pair_bytes + super_line);
  place.scales = pair + (block % 2) * kScaleBytes;
  place.planes = pair + kLine + (block % 2) * codes_bytes;
  place.codes = place.planes + codes_bytes - (codes_bytes == kCodes8 ? kByteBytes : kNibbleBytes);
  return place;
}

// Blocks with a line of scale and min each.
BlockPlace place_alone(std::size_t block, std::size_t codes_bytes) {
  BlockPlace place;
  place.scales = block * (kLine + codes_bytes);
  place.planes = place.scales + kLine;
  place.codes = place.planes + codes_bytes - kNibbleBytes;
  return place;
}

unsigned num_plane_bits(WeightType type) {
  switch (type) {
    case WeightType::Q5_0:
    case WeightType::Q5_1:
    case WeightType::Q5_K:
      return 1;
    case WeightType::Q6_K:
      return 2;
    default:
      return 0;
  }
}

// The byte of a plane, and the bit in it, that carries the upper bits of column `col`.
struct PlanePlace {
  std::size_t byte;
  unsigned shift;
};
PlanePlace plane_place(unsigned bits, std::size_t row, std::size_t col) {
  const std::size_t group = col / 4;
  const std::size_t lane = 4 * row + col % 4;
  if (bits == 1) return {lane, static_cast<unsigned>(group)};
  return {group / 4 * kLine + lane, static_cast<unsigned>(2 * (group % 4))};
}

std::size_t code_byte(std::size_t row, std::size_t group, std::size_t col) {
  return group * kLine + 4 * row + col % 4;
}

std::uint8_t byte_at(const std::byte* bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

// Each byte of a plane gathers the upper bits of one lane's codes in 8 / bits column groups.
void write_planes(unsigned bits, const std::uint8_t* codes, std::size_t row, std::byte* planes) {
  for (std::size_t plane = 0; plane < bits; ++plane) {
    const std::size_t groups = 8 / bits;
    for (std::size_t c = 0; c < 4; ++c) {
      unsigned gathered = 0;
      for (std::size_t i = 0; i < groups; ++i) {
        const unsigned upper = static_cast<unsigned>(codes[(plane * groups + i) * 4 + c]) >> 4;
        gathered |= upper << (bits * i);
      }
      planes[plane * kLine + 4 * row + c] = static_cast<std::byte>(gathered);
    }
  }
}

void write_codes(WeightType type, const RawBlock& from, std::size_t row, const BlockPlace& place,
                 std::byte* panel) {
  if (type == WeightType::Q8_0) {
    for (std::size_t col = 0; col < 32; ++col)
      panel[place.codes + code_byte(row, col / 4, col)] = std::byte{from.codes[col]};
    return;
  }
  for (std::size_t col = 0; col < 16; ++col) {
    const unsigned low = from.codes[col] & 0xfu;
    const unsigned high = from.codes[col + 16] & 0xfu;
    panel[place.codes + code_byte(row, col / 4, col)] = static_cast<std::byte>(low | high << 4);
  }
  write_planes(num_plane_bits(type), from.codes, row, panel + place.planes);
}

void read_codes(WeightType type, const std::byte* panel, std::size_t row, const BlockPlace& place,
                std::uint8_t* codes) {
  if (type == WeightType::Q8_0) {
    for (std::size_t col = 0; col < 32; ++col)
      codes[col] = byte_at(panel, place.codes + code_byte(row, col / 4, col));
    return;
  }
  for (std::size_t col = 0; col < 16; ++col) {
    const unsigned both = byte_at(panel, place.codes + code_byte(row, col / 4, col));
    codes[col] = static_cast<std::uint8_t>(both & 0xfu);
    codes[col + 16] = static_cast<std::uint8_t>(both >> 4);
  }
  const unsigned bits = num_plane_bits(type);
  const unsigned mask = (1u << bits) - 1u;
  for (std::size_t col = 0; bits != 0 && col < 32; ++col) {
    const PlanePlace at = plane_place(bits, row, col);
    const unsigned upper = (static_cast<unsigned>(byte_at(panel, place.planes + at.byte)) >> at.shift) & mask;
    codes[col] = static_cast<std::uint8_t>(codes[col] | upper << 4);
  }
}

}  // namespace

bool is_quantised(WeightType type) {
  return type != WeightType::F32 && type != WeightType::F16 && type != WeightType::BF16;
}

BlockPlace block_place(WeightType type, std::size_t block) {
  switch (type) {
    case WeightType::Q4_0:
      return place_in_pairs(block, kCodes4, 0);
    case WeightType::Q5_0:
      return place_in_pairs(block, kCodes5, 0);
    case WeightType::Q8_0:
      return place_in_pairs(block, kCodes8, 0);
    case WeightType::Q4_1:
      return place_alone(block, kCodes4);
    case WeightType::Q5_1:
      return place_alone(block, kCodes5);
    case WeightType::Q4_K:
      return place_in_pairs(block, kCodes4, kLine);
    case WeightType::Q5_K:
      return place_in_pairs(block, kCodes5, kLine);
    case WeightType::Q6_K:
      return place_in_pairs(block, kCodes6, kLine);
    default:
      break;
  }
  SHOAL_CHECK(is_quantised(type));
  return {};
}

void write_panel_block(WeightType type, const RawBlock& from, std::size_t row, std::size_t block,
                       std::byte* panel) {
  const BlockPlace place = block_place(type, block);
  write_codes(type, from, row, place, panel);
  switch (type) {
    case WeightType::Q4_1:
    case WeightType::Q5_1:
      store(panel + place.scales + kScaleBytes + 2 * row, from.m);
      [[fallthrough]];
    case WeightType::Q4_0:
    case WeightType::Q5_0:
    case WeightType::Q8_0:
      store(panel + place.scales + 2 * row, from.d);
      break;
    case WeightType::Q4_K:
    case WeightType::Q5_K:
      store(panel + place.super + 2 * row, from.d);
      store(panel + place.super + kScaleBytes + 2 * row, from.m);
      store(panel + place.scales + row, from.scale[0]);
      store(panel + place.scales + 16 + row, from.min);
      break;
    case WeightType::Q6_K:
      store(panel + place.super + 2 * row, from.d);
      store(panel + place.scales + row, from.scale[0]);
      store(panel + place.scales + 16 + row, from.scale[1]);
      break;
    default:
      SHOAL_CHECK(is_quantised(type));
  }
}

RawBlock read_panel_block(WeightType type, const std::byte* panel, std::size_t row, std::size_t block) {
  const BlockPlace place = block_place(type, block);
  RawBlock raw = {};
  read_codes(type, panel, row, place, raw.codes);
  switch (type) {
    case WeightType::Q4_1:
    case WeightType::Q5_1:
      raw.m = load<std::uint16_t>(panel + place.scales + kScaleBytes + 2 * row);
      [[fallthrough]];
    case WeightType::Q4_0:
    case WeightType::Q5_0:
    case WeightType::Q8_0:
      raw.d = load<std::uint16_t>(panel + place.scales + 2 * row);
      break;
    default:  // K-quants
      raw.d = load<std::uint16_t>(panel + place.super + 2 * row);
      raw.m = load<std::uint16_t>(panel + place.super + kScaleBytes + 2 * row);
      raw.scale[0] = byte_at(panel, place.scales + row);
      raw.scale[1] = raw.min = byte_at(panel, place.scales + 16 + row);
  }
  return raw;
}

RowBlock read_row_block(WeightType type, const std::byte* panel, std::size_t row, std::size_t block) {
  const RawBlock raw = read_panel_block(type, panel, row, block);
  const std::int32_t bias = type == WeightType::Q8_0 ? kOffset8 : 0;
  RowBlock result = {};
  for (std::size_t col = 0; col < 32; ++col) result.codes[col] = raw.codes[col] - bias;
  const float d = float_from_f16(raw.d);
  const float m = float_from_f16(raw.m);
  result.scale = d;
  result.min = m;
  if (type == WeightType::Q4_K || type == WeightType::Q5_K) {
    result.scale = d * static_cast<float>(raw.scale[0]);
    result.min = -(m * static_cast<float>(raw.min));
  }
  for (int half = 0; half < 2; ++half) {
    const auto scale = static_cast<std::int8_t>(raw.scale[half]);
    result.scale6[half] = scale;  // NOLINT(bugprone-signed-char-misuse): it is signed
  }
  return result;
}

float read_float_weight(WeightType type, const std::byte* panel, std::size_t row, std::size_t col) {
  const std::size_t at = col * kPanelRows + row;
  if (type == WeightType::F32) return load<float>(panel + 4 * at);
  const auto bits = load<std::uint16_t>(panel + 2 * at);
  return type == WeightType::F16 ? float_from_f16(bits) : float_from_bf16(bits);
}

}  // namespace shoal
