#pragma once

#include <vector>

#include "base/result.h"
#include "model/kv_budget.h"
#include "model/model_config.h"
#include "transport/messages.h"

namespace shoal {

// The TensorSpecs of a plan's references. Bytes from outside: roles, types and shapes are checked, so that
// sizes computed from them make sense. Unsupported: a type or role of a newer Shoal. Corrupt: an impossible
// shape.
Result<std::vector<TensorSpec>> tensor_specs_of(const std::vector<TensorRef>& refs);

// Does the plan make sense for this model: its stages follow one another over all units (or there are none),
// its tensors are possible? Unsupported: it keeps keys and values in a way of a newer Shoal.
Status check_plan(const PlanMessage& plan, const ModelConfig& config);

// What the plan's stages may hold, and how. Unsupported: as check_plan.
Result<KvBudget> kv_budget_of(const PlanMessage& plan);

}  // namespace shoal
