#include "tests/kernels/gguf_reference.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/check.h"

namespace shoal::test {
namespace {

unsigned u8(const std::byte* p) { return std::to_integer<unsigned>(*p); }

// IEEE 754 binary16, by its definition.
double f16(const std::byte* p) {
  const unsigned bits = u8(p) | u8(p + 1) << 8;
  const int exponent = static_cast<int>(bits >> 10 & 31);
  const double fraction = static_cast<double>(bits & 1023) / 1024.0;
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, -14) : std::ldexp(1.0 + fraction, exponent - 15);
  return (bits >> 15) != 0 ? -magnitude : magnitude;
}

float f32_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

double plain(WeightType type, const std::byte* p) {
  if (type == WeightType::F16) return f16(p);
  if (type == WeightType::BF16) return static_cast<double>(f32_of_bits((u8(p) | u8(p + 1) << 8) << 16));
  return static_cast<double>(f32_of_bits(u8(p) | u8(p + 1) << 8 | u8(p + 2) << 16 | u8(p + 3) << 24));
}

// Blocks of 32: [d][m][32 fifth bits][32 nibbles].
void nibble_block(const std::byte* p, bool has_min, bool has_fifth, double* out) {
  const double d = f16(p);
  const double m = has_min ? f16(p + 2) : 0.0;
  const std::byte* fifth = p + (has_min ? 4 : 2);
  const std::byte* nibbles = fifth + (has_fifth ? 4 : 0);
  for (unsigned j = 0; j < 32; ++j) {
    unsigned q = j < 16 ? u8(nibbles + j) % 16 : u8(nibbles + j - 16) / 16;
    if (has_fifth && (u8(fifth + j / 8) >> j % 8) % 2 == 1) q += 16;
    const int centre = has_fifth ? 16 : 8;
    out[j] = has_min ? d * q + m : d * (static_cast<int>(q) - centre);
  }
}

// Super-blocks of 256: sub-block j of 32 has the 6-bit scale and min that 12 bytes pack.
void k_scale_min(const std::byte* packed, unsigned j, unsigned& scale, unsigned& min) {
  if (j < 4) {
    scale = u8(packed + j) & 63;
    min = u8(packed + 4 + j) & 63;
  } else {
    scale = (u8(packed + 4 + j) & 15) + 16 * (u8(packed + j - 4) >> 6);
    min = (u8(packed + 4 + j) >> 4) + 16 * (u8(packed + j) >> 6);
  }
}

void k_block(const std::byte* p, bool has_fifth, double* out) {
  const std::byte* fifth = p + 16;
  const std::byte* nibbles = has_fifth ? p + 48 : p + 16;
  for (unsigned i = 0; i < 256; ++i) {
    const unsigned sub = i / 32;
    unsigned scale = 0;
    unsigned min = 0;
    k_scale_min(p + 4, sub, scale, min);
    const unsigned byte = u8(nibbles + i / 64 * 32 + i % 32);
    unsigned q = i % 64 < 32 ? byte % 16 : byte / 16;
    if (has_fifth) q += 16 * (u8(fifth + i % 32) >> sub & 1);
    out[i] = f16(p) * scale * q - f16(p + 2) * min;
  }
}

void q6_block(const std::byte* p, double* out) {
  for (unsigned i = 0; i < 256; ++i) {
    const unsigned half = i / 128;
    const unsigned within = i % 128;
    const unsigned low_byte = u8(p + half * 64 + within % 64);
    const unsigned low = within < 64 ? low_byte % 16 : low_byte / 16;
    const unsigned high = u8(p + 128 + half * 32 + within % 32) >> (within / 32 * 2) & 3;
    const auto scale = static_cast<std::int8_t>(u8(p + 192 + i / 16));
    out[i] = f16(p + 208) * scale * (static_cast<int>(low + 16 * high) - 32);
  }
}

void q8_block(const std::byte* p, double* out) {
  for (unsigned j = 0; j < 32; ++j) out[j] = f16(p) * static_cast<std::int8_t>(u8(p + 2 + j));
}

}  // namespace

std::vector<double> gguf_values(WeightType type, const std::byte* row, std::size_t cols) {
  const BlockShape shape = block_shape(type);
  std::vector<double> values(cols);
  for (std::size_t at = 0; at < cols; at += shape.block_elements, row += shape.block_bytes) {
    double* out = values.data() + at;
    switch (type) {
      case WeightType::Q4_0:
        nibble_block(row, false, false, out);
        break;
      case WeightType::Q4_1:
        nibble_block(row, true, false, out);
        break;
      case WeightType::Q5_0:
        nibble_block(row, false, true, out);
        break;
      case WeightType::Q5_1:
        nibble_block(row, true, true, out);
        break;
      case WeightType::Q8_0:
        q8_block(row, out);
        break;
      case WeightType::Q4_K:
        k_block(row, false, out);
        break;
      case WeightType::Q5_K:
        k_block(row, true, out);
        break;
      case WeightType::Q6_K:
        q6_block(row, out);
        break;
      default:
        *out = plain(type, row);
    }
  }
  return values;
}

}  // namespace shoal::test
