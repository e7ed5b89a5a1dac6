#include "kernels/half.h"

namespace shoal {
namespace {

constexpr std::uint32_t kF32Infinity = 0x7f800000;
constexpr std::uint32_t kF32Quiet = 0x00400000;

// Drops the low `count` bits of `value`, rounding to nearest, ties to even.
std::uint32_t shift_right_rounded(std::uint32_t value, unsigned count) {
  const std::uint32_t half = 1u << (count - 1);
  const std::uint32_t odd = (value >> count) & 1u;
  return (value + (half - 1u) + odd) >> count;
}

}  // namespace

float float_from_f16(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24, exact
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(magnitude) | sign);
  }
  if (exponent == 0x1f) {
    const std::uint32_t nan = mantissa == 0 ? 0u : (mantissa << 13) | kF32Quiet;
    return std::bit_cast<float>(sign | kF32Infinity | nan);
  }
  return std::bit_cast<float>(sign | ((exponent + 112u) << 23) | (mantissa << 13));
}

std::uint16_t f16_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t exponent = magnitude >> 23;
  std::uint32_t result = 0;
  if (magnitude > kF32Infinity) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);  // NaN, made quiet
  } else if (exponent >= 143) {                       // 2^16 and above
    result = 0x7c00u;
  } else if (exponent >=
             113) {  // normal; a carry out of the mantissa rightly raises the exponent, up to infinity
    result = shift_right_rounded(magnitude - (112u << 23), 13);
  } else if (exponent >= 102) {  // subnormal: the mantissa with its hidden bit, in units of 2^-24
    const std::uint32_t mantissa = (magnitude & 0x7fffffu) | 0x800000u;
    result = shift_right_rounded(mantissa, 126u - exponent);
  }
  return static_cast<std::uint16_t>(sign | result);
}

std::uint16_t bf16_from_float(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > kF32Infinity) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>(shift_right_rounded(bits, 16));
}

}  // namespace shoal
