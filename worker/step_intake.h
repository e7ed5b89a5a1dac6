#pragma once

#include <vector>

#include "worker/worker_state.h"

namespace shoal {

// The part of worker_state that takes steps: fence by epoch, check sender, stage and shape, judge step
// numbers, run, send on, keep for repeats, and count what it took. Pure.

void take_step(WorkerState& state, DeviceId from, StepFrame frame, Time now,
               std::vector<WorkerCommand>& commands);
void finish_step(WorkerState& state, StepDone done, Time now, std::vector<WorkerCommand>& commands);

}  // namespace shoal
