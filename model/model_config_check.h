#pragma once

#include <cstdint>

#include "base/result.h"
#include "base/sampling.h"  // kMaxVocabSize
#include "model/model_config.h"

namespace shoal {

// The largest sizes we accept: above every model that small devices can hold, low enough that no product of
// them overflows.
inline constexpr std::uint32_t kMaxLayers = 1024;
inline constexpr std::uint32_t kMaxHiddenSize = 1u << 16;
inline constexpr std::uint32_t kMaxIntermediateSize = 1u << 20;
inline constexpr std::uint32_t kMaxHeads = 1024;
inline constexpr std::uint32_t kMaxHeadDim = 512;
inline constexpr std::uint32_t kMaxSeqLen = 1u << 24;
inline constexpr std::uint32_t kMaxNameBytes = 256;
inline constexpr float kMaxRopeScale =
    64;  // with kMaxSeqLen, angles stay below 2^30, where sin_f64 and cos_f64 end

// Every size within the limits above, every number finite and in range, and the sizes fit each other; else
// Corrupt with the field and its value. What passes may be computed with. Pure.
Status check_model_config(const ModelConfig& config);

}  // namespace shoal
