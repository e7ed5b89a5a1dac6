#pragma once

#include <vector>

#include "worker/worker_state.h"

namespace shoal {

// The part of worker_state that makes a plan runnable: ask the disk store what is there, fetch the rest from
// the hub on the bulk lane with a few requests in flight (a request's credit returns when its data is on
// disk), report progress, then Ready. Pure.

void begin_plan(WorkerState& state, PlanMessage plan, ModelConfig config, Time now,
                std::vector<WorkerCommand>& commands);
void on_store_checked(WorkerState& state, StoreChecked checked, Time now,
                      std::vector<WorkerCommand>& commands);
void take_shard(WorkerState& state, ShardData data, Time now, std::vector<WorkerCommand>& commands);
void on_shard_written(WorkerState& state, const ShardWritten& written, Time now,
                      std::vector<WorkerCommand>& commands);
void on_store_failed(WorkerState& state, const StoreFailed& failed, Time now,
                     std::vector<WorkerCommand>& commands);

// Asks the store again and goes on from what it holds.
void restart_fetch(WorkerState& state, Time now, std::vector<WorkerCommand>& commands);
// Says how far the plan is, twice a second while loading and every two seconds once Ready (the first word may
// have been lost); restarts a fetch that stands still.
void watch_fetch(WorkerState& state, Time now, std::vector<WorkerCommand>& commands);
void report_progress(PlanProgress& pending, Time now, std::vector<WorkerCommand>& commands);

}  // namespace shoal
