#pragma once

#include <bit>
#include <cstdint>

namespace shoal {

// f16 and bf16 are carried as their bits. Conversions are exact or round to nearest even; NaN stays NaN.
float float_from_f16(std::uint16_t bits);
std::uint16_t f16_from_float(float value);
inline float float_from_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}
std::uint16_t bf16_from_float(float value);

}  // namespace shoal
