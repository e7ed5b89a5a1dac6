#pragma once

#include <cstdint>

#include "transport/limits.h"

namespace shoal {

// What a cluster can be asked for, on the command line and in a cluster config alike.
struct Bounds {
  std::uint32_t least = 0;
  std::uint32_t most = 0;
};
inline constexpr Bounds kContextBounds{64, 1 << 20};
inline constexpr Bounds kKvPositionsBounds{64, 1 << 24};
inline constexpr Bounds kMaxSequencesBounds{1, 4096};
inline constexpr Bounds kMinStagesBounds{1, kMaxStages};
inline constexpr Bounds kExpectBounds{0, kMaxDevices - 1};
inline constexpr Bounds kPortBounds{0, 65535};
inline constexpr Bounds kClusterPortBounds{0, 65532};  // the next three too

}  // namespace shoal
