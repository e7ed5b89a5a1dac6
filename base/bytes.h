#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

namespace shoal {

using Bytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

// Unaligned little-endian access; every supported device is little-endian (checked here once).
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "Shoal's files and frames are little-endian");

template <typename T>
requires std::is_trivially_copyable_v<T> T load(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <typename T>
requires std::is_trivially_copyable_v<T>
void store(void* to, const T& value) { std::memcpy(to, &value, sizeof value); }

}  // namespace shoal
