#pragma once

#include "coordinator/cluster_state.h"
#include "simulation/device_figures.h"

namespace shoal {

// What a worker on a device of these figures would report of this model (worker/profile.h measures the real
// one), by the planner's own formula: for a unit of W stored bytes and F multiply-adds a row, KV bytes a
// position,
//   decode = max(W/read, F/int8)    batch32 = max(W/read, 32 F/int8)
//   per_1k_context = 1000 max(KV/read, 2 num_heads head_dim / (int8/4))
// The embedding looks one row up. Attention works in float32: a quarter of the int8 rate. Pure.
ProfileReport expected_profile(const DeviceFigures& figures, const ServedModel& model);

}  // namespace shoal
