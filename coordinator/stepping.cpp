#include "base/log.h"
#include "coordinator/cluster_parts.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMostRepeats = 3;
constexpr std::uint32_t kMostCorruptSteps = 2;

void deliver(ClusterState& state, ClusterCommands& commands) {
  for (auto& [request, event] : state.scheduler.take_events()) commands.push_back(DeliverEvent{request, std::move(event)});
}

}  // namespace

void pump(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.active && state.active_is_whole) {
    const DeviceId first = state.active->device_of(0);
    for (StepFrame& frame : state.scheduler.take_overdue(now)) commands.push_back(SendMessage{first, Lane::Data, std::move(frame)});
    while (std::optional<StepFrame> frame = state.scheduler.next_step(now)) {
      commands.push_back(SendMessage{first, Lane::Data, *std::move(frame)});
    }
    if (state.scheduler.most_repeats() > kMostRepeats) restart_epoch(state, "a step got no answer", now, commands);
  }
  deliver(state, commands);
}

void on_candidates(ClusterState& state, DeviceId from, CandidatesFrame frame, Time now) {
  const bool from_last = state.active && state.active_is_whole && from == state.active->device_of(state.active->plan.stages.size() - 1);
  if (!from_last) return;
  if (const Status judged = state.scheduler.on_candidates(std::move(frame), now)) {
    state.fruitless_epochs = 0;
  } else {
    log_debug("candidates_ignored", {{"reason", judged.error().message()}});
  }
}

void on_step_refused(ClusterState& state, DeviceId from, const StepRefused& refused, Time now, ClusterCommands& commands) {
  if (!state.active || !state.active_is_whole || refused.epoch != state.active->epoch) return;
  log_warn("step_refused", {{"device", from}, {"sequence", refused.sequence}, {"step", refused.step}, {"expected", refused.expected},
                            {"detail", refused.detail}});
  if (refused.reason == RefusalReason::Corrupt && ++state.corrupt_steps[refused.sequence] >= kMostCorruptSteps) {
    state.corrupt_steps.erase(refused.sequence);
    state.scheduler.fail_sequence(refused.sequence, {ErrorCode::Internal, "a step's activations are not finite: " + refused.detail, "not_finite"});
  }
  restart_epoch(state, "a step was refused: " + refused.detail, now, commands);
}

void submit(ClusterState& state, SubmitRequest request, Time now, ClusterCommands& commands) {
  const bool can_serve = state.phase == Phase::Ready || state.phase == Phase::Recovering;
  if (!can_serve) {
    const bool lost = state.phase == Phase::InsufficientMemory;
    commands.push_back(DeliverEvent{request.id, FailedEvent{ErrorCode::Unavailable, std::string(name_of(state.phase)) + ": " + state.detail,
                                                            lost ? "insufficient_capacity" : "not_ready"}});
    return;
  }
  state.scheduler.submit(request.id, std::move(request.request), now);
}

}  // namespace shoal
