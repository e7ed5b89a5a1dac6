#pragma once

#include <vector>

#include "base/bytes.h"
#include "transport/messages.h"

namespace shoal {

// The units of a profile as the hub's store keeps them. What does not fill a whole unit at the end is
// ignored.
std::vector<std::byte> encode_units(const std::vector<LayerProfile>& units);
std::vector<LayerProfile> decode_units(Bytes bytes);

}  // namespace shoal
