#include "worker/plan_fetch.h"

#include <algorithm>

#include "kernels/panels.h"
#include "transport/limits.h"

namespace shoal {
namespace {

constexpr std::uint32_t kRequestsInFlight = 4;
constexpr std::uint64_t kRequestBytes = 256 << 10;
constexpr Duration kReportInterval = std::chrono::milliseconds(500);
constexpr Duration kReadyInterval = std::chrono::seconds(2);
// The lane is reliable and a new connection starts anew by itself, so an answer is all but never lost; a poor
// link must not be asked twice.
constexpr Duration kStandstill = std::chrono::seconds(20);
constexpr std::uint32_t kMostRestarts = 3;

using Commands = std::vector<WorkerCommand>;

// Whole panels of about kRequestBytes as the hub holds them, never more than one message may carry.
std::uint32_t panels_per_request(const TensorRef& tensor) {
  if (!tensor.is_matrix) return 1;
  const std::uint64_t row_bytes = gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
  return static_cast<std::uint32_t>(std::max<std::uint64_t>(1, kRequestBytes / (row_bytes * kPanelRows)));
}

void ask_for_more(PlanProgress& pending, Commands& commands) {
  while (pending.asked.size() + pending.writing < kRequestsInFlight &&
         pending.asking < pending.missing.size()) {
    const MissingTensor& missing = pending.missing[pending.asking];
    const std::uint32_t count =
        std::min(panels_per_request(missing.tensor), missing.num_panels - pending.next_panel);
    const ShardRequest request{
        .tensor = missing.tensor.sha256, .first_panel = pending.next_panel, .num_panels = count};
    commands.push_back(SendMessage{kHub, Lane::Bulk, request});
    pending.asked.push_back(request);
    pending.next_panel += count;
    if (pending.next_panel < missing.num_panels) continue;
    ++pending.asking;
    pending.next_panel =
        pending.asking < pending.missing.size() ? pending.missing[pending.asking].first_panel : 0;
  }
}

void become_ready_if_complete(PlanProgress& pending, Time now, Commands& commands) {
  if (pending.num_complete < pending.missing.size()) return;
  pending.stage_state = StageState::Ready;
  report_progress(pending, now, commands);
}

void give_up(PlanProgress& pending, std::string why, Time now, Commands& commands) {
  pending.stage_state = StageState::Failed;
  pending.failure = std::move(why);
  report_progress(pending, now, commands);
}

PlanProgress* fetching(WorkerState& state) {
  return state.pending && state.pending->stage_state == StageState::Loading ? &*state.pending : nullptr;
}

const MissingTensor* find_missing(const PlanProgress& pending, const Sha256& tensor) {
  const auto found = std::ranges::find_if(pending.missing,
                                          [&](const MissingTensor& m) { return m.tensor.sha256 == tensor; });
  return found == pending.missing.end() ? nullptr : &*found;
}

// A refusal names no panels.
bool answers(const ShardData& data, const ShardRequest& request) {
  if (data.tensor != request.tensor || data.first_panel != request.first_panel) return false;
  return data.num_panels == request.num_panels || data.num_panels == 0;
}

}  // namespace

void report_progress(PlanProgress& pending, Time now, Commands& commands) {
  pending.reported_at = now;
  commands.push_back(SendMessage{kHub, Lane::Control,
                                 StageStatus{.epoch = pending.plan.epoch,
                                             .state = pending.stage_state,
                                             .bytes_total = pending.bytes_total,
                                             .bytes_present = pending.bytes_present,
                                             .bytes_received = pending.bytes_received,
                                             .scratch_bytes = 0,
                                             .kv_bytes = 0,
                                             .reason = reason_text(pending.failure)}});
}

void begin_plan(WorkerState& state, PlanMessage plan, ModelConfig config, Time now, Commands& commands) {
  PlanProgress progress;
  progress.plan = std::move(plan);
  progress.config = std::move(config);
  progress.reported_at = now;
  state.pending = std::move(progress);
  restart_fetch(state, now, commands);
}

void restart_fetch(WorkerState& state, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || pending->checking) return;
  pending->checking = true;
  pending->asked.clear();
  pending->writing = 0;
  pending->progressed_at = now;
  commands.push_back(CheckStore{pending->plan.epoch, pending->plan.tensors});
}

void on_store_checked(WorkerState& state, StoreChecked checked, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || !pending->checking || pending->plan.epoch != checked.epoch) return;
  pending->checking = false;
  pending->bytes_total = checked.bytes_total;
  pending->bytes_present = checked.bytes_present;
  pending->missing = std::move(checked.missing);
  pending->num_complete = pending->asking = 0;
  pending->next_panel = pending->missing.empty() ? 0 : pending->missing.front().first_panel;
  pending->progressed_at = now;
  ask_for_more(*pending, commands);
  become_ready_if_complete(*pending, now, commands);
}

void take_shard(WorkerState& state, ShardData data, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || pending->checking) return;
  const auto request =
      std::ranges::find_if(pending->asked, [&](const ShardRequest& asked) { return answers(data, asked); });
  if (request == pending->asked.end()) return;  // of an earlier plan, or the second answer to one question
  const MissingTensor* missing = find_missing(*pending, data.tensor);
  pending->asked.erase(request);
  pending->progressed_at = now;
  if (data.num_panels == 0)
    return give_up(*pending, "the hub does not give tensor " + missing->tensor.name + ": " + data.reason, now,
                   commands);
  for (const Payload& chunk : data.payload) pending->bytes_received += chunk.size();
  ++pending->writing;
  commands.push_back(WriteShard{missing->tensor, std::move(data)});
}

void on_shard_written(WorkerState& state, const ShardWritten& written, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending || pending->checking || pending->writing == 0 || !find_missing(*pending, written.tensor))
    return;
  pending->progressed_at = now;
  pending->bytes_present += written.stored_bytes;
  --pending->writing;
  if (written.complete) ++pending->num_complete;
  ask_for_more(*pending, commands);
  become_ready_if_complete(*pending, now, commands);
}

void on_store_failed(WorkerState& state, const StoreFailed& failed, Time now, Commands& commands) {
  PlanProgress* pending = fetching(state);
  if (!pending) return;
  if (!failed.restart) return give_up(*pending, failed.reason, now, commands);
  if (pending->checking || pending->writing == 0) return;  // of a write before the fetch began anew
  if (++pending->num_restarts > kMostRestarts) return give_up(*pending, failed.reason, now, commands);
  restart_fetch(state, now, commands);
}

void watch_fetch(WorkerState& state, Time now, Commands& commands) {
  if (!state.pending || state.pending->stage_state == StageState::Failed) return;
  PlanProgress& pending = *state.pending;
  if (now - pending.reported_at >= (pending.ready() ? kReadyInterval : kReportInterval))
    report_progress(pending, now, commands);
  if (!pending.asked.empty() && now - pending.progressed_at > kStandstill)
    restart_fetch(state, now, commands);
}

}  // namespace shoal
