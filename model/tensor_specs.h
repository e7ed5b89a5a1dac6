#pragma once

#include <vector>

#include "base/result.h"
#include "model/model_config.h"

namespace shoal {

// The tensors a model of this shape has, in unit order, from the config alone; types are left at F32. With
// `rope_factors` each layer also lists rope_freqs.weight, one tensor that all of them share.
std::vector<TensorSpec> expected_tensors(const ModelConfig& config, bool rope_factors);

// Every expected tensor is in the file with its shape and a type we compute with, and no tensor is there
// whose part in the result we would leave out. The error names the tensor, what it is and what it should be.
Status check_tensors(const ModelConfig& config, const GgufFile& file);

}  // namespace shoal
