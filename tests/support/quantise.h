#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "kernels/weight_type.h"

namespace shoal {

// Values as GGUF stores them in a type, rounded to the nearest code of a plain scale (no search for better
// scales: for tests). values.size() is a multiple of the type's block. Source: the block layouts of
// ggml-common.h (ggml project).
std::vector<std::byte> quantise(WeightType type, std::span<const float> values);

}  // namespace shoal
