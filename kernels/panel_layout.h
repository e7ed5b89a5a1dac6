#pragma once

#include <cstddef>
#include <cstdint>

// Sizes of the panel layout that panels.h describes: data only, so that every instruction set may include
// them.
namespace shoal {

inline constexpr std::size_t kPanelBlock = 32;  // columns
inline constexpr std::size_t kSuperBlocks = 8;  // blocks of 32 in a K-quant's 256 columns
inline constexpr std::size_t kLine = 64;        // bytes: 4 columns of 16 rows
inline constexpr std::size_t kScaleBytes = 32;  // 16 rows of f16
inline constexpr std::size_t kNibbleBytes = 4 * kLine;
inline constexpr std::size_t kByteBytes = 8 * kLine;

// A codes run of one block: bit planes first, then nibbles (or bytes).
inline constexpr std::size_t kCodes4 = kNibbleBytes;
inline constexpr std::size_t kCodes5 = kLine + kNibbleBytes;
inline constexpr std::size_t kCodes6 = 2 * kLine + kNibbleBytes;
inline constexpr std::size_t kCodes8 = kByteBytes;

// What a stored code is above the value it stands for.
inline constexpr std::int32_t kOffset4 = 8;
inline constexpr std::int32_t kOffset5 = 16;
inline constexpr std::int32_t kOffset6 = 32;
inline constexpr std::int32_t kOffset8 = 128;

}  // namespace shoal
