#pragma once

#include <cstddef>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/model_config.h"

namespace shoal {

// A ModelConfig as bytes, for the plan: little-endian, versioned, at most kMaxModelConfigBytes. Equal configs
// give equal bytes.
inline constexpr std::size_t kMaxModelConfigBytes = 16384;
std::vector<std::byte> serialise(const ModelConfig& config);

// The reverse, for bytes from outside: exact length, every enum, flag, size and number checked
// (check_model_config); else Corrupt, or Unsupported for another version of the format.
Result<ModelConfig> parse_model_config(Bytes bytes);

}  // namespace shoal
