#pragma once

#include <cstdint>

#include "base/bytes.h"

namespace shoal {

// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78; RFC 3720 appendix B.4). Chain calls by passing the
// last value.
std::uint32_t crc32c(Bytes data, std::uint32_t seed = 0);

}  // namespace shoal
