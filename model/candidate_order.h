#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "base/ids.h"

namespace shoal {

// The order of candidates: greater value first, lower id on ties (-0 and +0 tie). Total even where a value is
// NaN, which comes last, so that sorting stays defined whatever a broken weight makes of a logit.
inline std::int32_t order_key(float value) {
  if (value != value) return std::numeric_limits<std::int32_t>::min();
  const auto bits = std::bit_cast<std::int32_t>(value + 0.0f);
  return bits >= 0 ? bits : bits ^ 0x7FFFFFFF;
}

inline bool comes_before(float a_value, TokenId a, float b_value, TokenId b) {
  const std::int32_t a_key = order_key(a_value);
  const std::int32_t b_key = order_key(b_value);
  return a_key > b_key || (a_key == b_key && a < b);
}

}  // namespace shoal
