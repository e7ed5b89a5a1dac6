#pragma once

#include <array>
#include <cstdint>

namespace shoal {

// Names a tensor's or a model's bytes (FIPS 180-4). model/sha256.h computes them.
using Sha256 = std::array<std::uint8_t, 32>;

}  // namespace shoal
