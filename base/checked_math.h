#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace shoal {

// Size arithmetic on numbers from outside: nullopt where the true result does not fit.
inline std::optional<std::uint64_t> checked_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<std::uint64_t> checked_mul(std::uint64_t a, std::uint64_t b) {
  std::uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

constexpr std::size_t div_ceil(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
constexpr std::size_t align_up(std::size_t value, std::size_t alignment) {
  return div_ceil(value, alignment) * alignment;
}

// True if [offset, offset + size) lies within `limit` bytes.
inline bool fits(std::uint64_t offset, std::uint64_t size, std::uint64_t limit) {
  return offset <= limit && size <= limit - offset;
}

}  // namespace shoal
