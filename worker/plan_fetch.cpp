#include "worker/plan_fetch.h"

#include <algorithm>

#include "kernels/panels.h"
#include "transport/limits.h"

namespace shoal {
namespace {

constexpr std::uint32_t kRequestsInFlight = 4;
constexpr std::uint64_t kRequestBytes = 256 << 10;
constexpr Duration kReportInterval = std::chrono::milliseconds(500);
constexpr Duration kStandstill = std::chrono::seconds(5);

using Commands = std::vector<WorkerCommand>;

void report(PlanProgress& pending, StageState stage_state, std::string reason, Time now, Commands& commands) {
  pending.reported_at = now;
  commands.push_back(SendMessage{kHub, Lane::Control,
                                 StageStatus{.epoch = pending.plan.epoch,
                                             .state = stage_state,
                                             .bytes_total = pending.bytes_total,
                                             .bytes_present = pending.bytes_present,
                                             .bytes_received = pending.bytes_received,
                                             .scratch_bytes = 0,
                                             .kv_bytes = 0,
                                             .reason = std::move(reason)}});
}

// Whole panels of about kRequestBytes as the hub holds them, never more than one message may carry.
std::uint32_t panels_per_request(const TensorRef& tensor) {
  if (!tensor.is_matrix) return 1;
  const std::uint64_t row_bytes = gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kRequestBytes / (row_bytes * kPanelRows)));
}

void ask_for_more(PlanProgress& pending, Commands& commands) {
  while (pending.in_flight < kRequestsInFlight && pending.asking < pending.missing.size()) {
    const MissingTensor& missing = pending.missing[pending.asking];
    const std::uint32_t count = std::min(panels_per_request(missing.tensor), missing.num_panels - pending.next_panel);
    commands.push_back(SendMessage{
        kHub, Lane::Bulk,
        ShardRequest{.tensor = missing.tensor.sha256, .first_panel = pending.next_panel, .num_panels = count}});
    ++pending.in_flight;
    pending.next_panel += count;
    if (pending.next_panel < missing.num_panels) continue;
    ++pending.asking;
    pending.next_panel = pending.asking < pending.missing.size() ? pending.missing[pending.asking].first_panel : 0;
  }
}

void become_ready_if_complete(PlanProgress& pending, Time now, Commands& commands) {
  if (pending.ready || pending.num_complete < pending.missing.size()) return;
  pending.ready = true;
  report(pending, StageState::Ready, "", now, commands);
}

PlanProgress* fetching(WorkerState& state) {
  return state.pending && !state.pending->ready ? &*state.pending : nullptr;
}

const MissingTensor* find_missing(const PlanProgress& pending, const Sha256& tensor) {
  const auto found = std::ranges::find_if(pending.missing, [&](const MissingTensor& m) { return m.tensor.sha256 == tensor; });
  return found == pending.missing.end() ? nullptr : &*found;
}

}  // namespace

void begin_plan(WorkerState& state, PlanMessage plan, ModelConfig config, Time now, Commands& commands) {
  PlanProgress progress;
  progress.plan = std::move(plan);
  progress.config = std::move(config);
  progress.reported_at = progress.progressed_at = now;
  commands.push_back(CheckStore{progress.plan.epoch, progress.plan.tensors});
  state.pending = std::move(progress);
}

void on_store_checked(WorkerState& state, StoreChecked checked, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || pending->plan.epoch != checked.epoch) return;
  pending->bytes_total = checked.bytes_total;
  pending->bytes_present = checked.bytes_present;
  pending->missing = std::move(checked.missing);
  pending->num_complete = pending->asking = 0;
  pending->next_panel = pending->missing.empty() ? 0 : pending->missing.front().first_panel;
  pending->in_flight = 0;
  pending->progressed_at = now;
  ask_for_more(*pending, commands);
  become_ready_if_complete(*pending, now, commands);
}

void take_shard(WorkerState& state, ShardData data, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending) return;
  const MissingTensor* missing = find_missing(*pending, data.tensor);
  if (!missing) return;
  pending->progressed_at = now;
  if (data.num_panels == 0) {
    report(*pending, StageState::Failed, "the hub does not give tensor " + missing->tensor.name + ": " + data.reason, now, commands);
    return;
  }
  for (const Payload& chunk : data.payload) pending->bytes_received += chunk.size();
  commands.push_back(WriteShard{missing->tensor, std::move(data)});
}

void on_shard_written(WorkerState& state, const ShardWritten& written, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || !find_missing(*pending, written.tensor)) return;
  pending->progressed_at = now;
  pending->bytes_present += written.stored_bytes;
  if (pending->in_flight > 0) --pending->in_flight;
  if (written.complete) ++pending->num_complete;
  ask_for_more(*pending, commands);
  become_ready_if_complete(*pending, now, commands);
}

void on_store_failed(WorkerState& state, const StoreFailed& failed, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending) return;
  if (failed.restart) {
    restart_fetch(state, now, commands);
  } else {
    report(*pending, StageState::Failed, failed.reason, now, commands);
  }
}

void restart_fetch(WorkerState& state, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending) return;
  pending->progressed_at = now;
  commands.push_back(CheckStore{pending->plan.epoch, pending->plan.tensors});
}

void watch_fetch(WorkerState& state, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending) return;
  if (now - pending->reported_at >= kReportInterval) report(*pending, StageState::Loading, "", now, commands);
  if (pending->in_flight > 0 && now - pending->progressed_at > kStandstill) restart_fetch(state, now, commands);
}

}  // namespace shoal
