#pragma once

#include <vector>

#include "base/result.h"
#include "model/model_config.h"
#include "transport/messages.h"

namespace shoal {

// The TensorSpecs of a plan's references. Bytes from outside: roles, types and shapes are checked, so that
// sizes computed from them make sense. Unsupported: a type or role of a newer Shoal. Corrupt: an impossible
// shape.
Result<std::vector<TensorSpec>> tensor_specs_of(const std::vector<TensorRef>& refs);

// Does the plan make sense for this model: its stages follow one another over all units (or there are none),
// its tensors are possible?
Status check_plan(const PlanMessage& plan, const ModelConfig& config);

}  // namespace shoal
