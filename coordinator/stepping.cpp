#include "base/log.h"
#include "coordinator/broken_links.h"
#include "coordinator/cluster_parts.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMostRepeats = 3;

void deliver(ClusterState& state, ClusterCommands& commands) {
  for (auto& [request, event] : state.scheduler.take_events())
    commands.push_back(DeliverEvent{request, std::move(event)});
}

void send_step(const ClusterState& state, StepFrame frame, Time now, ClusterCommands& commands) {
  frame.sent_at_ns = nanoseconds(now);
  commands.push_back(SendMessage{state.active->device_of(0), Lane::Data, std::move(frame)});
}

void send_steps(const ClusterState& state, std::vector<StepFrame> frames, Time now,
                ClusterCommands& commands) {
  for (StepFrame& frame : frames) send_step(state, std::move(frame), now, commands);
}

void blame(ClusterState& state, const RowGroup& group, const std::string& detail) {
  state.scheduler.blame(
      group.sequence, group.step,
      {ErrorCode::Internal, "the model cannot compute this request: " + detail, "step_refused"});
}

// What was in doubt is proven by a step that was sent since and came back; one that was past the break
// already proves nothing.
void note_progress(ClusterState& state) {
  state.fruitless_epochs = 0;
  if (!state.doubted_at || state.scheduler.newest_answered() < *state.doubted_at) return;
  state.doubted_at.reset();
  mark_links_working(state, *state.active);
  for (auto& [id, member] : state.members) {
    if (state.active->uses(id)) member.failures = 0;
  }
}

}  // namespace

void pump(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.active && state.active_is_whole) {
    send_steps(state, state.scheduler.take_overdue(now), now, commands);
    while (!holds_steps(state)) {
      std::optional<StepFrame> frame = state.scheduler.next_step(now);
      if (!frame) break;
      send_step(state, *std::move(frame), now, commands);
    }
    const std::uint32_t repeats = state.scheduler.most_repeats();
    const std::string broken = repeats > 0 ? broken_link_in(state, *state.active) : "";
    if (!broken.empty()) {
      recover(state, broken, now, commands);
    } else if (repeats > kMostRepeats) {
      restart_epoch(state, "a step got no answer", now, commands);
    }
  }
  deliver(state, commands);
}

void on_candidates(ClusterState& state, DeviceId from, CandidatesFrame frame, Time now,
                   ClusterCommands& commands) {
  const bool from_last = state.active && state.active_is_whole &&
                         from == state.active->device_of(state.active->plan.stages.size() - 1);
  if (!from_last) return;
  const RowGroup first = frame.groups.front();
  const Visit visit = visit_of(frame.groups);
  const double transit = transit_seconds(frame.sent_at_ns, now);
  const Status judged = state.scheduler.on_candidates(std::move(frame), now);
  if (judged) {
    if (visit.rows > 0) state.record.add_return(visit, transit, now);
    return note_progress(state);
  }
  log_debug("candidates_ignored", {{"reason", judged.error().message()}});
  if (judged.error().code() != ErrorCode::Corrupt) return;
  blame(state, first, judged.error().message());
  restart_epoch(state, "an answer made no sense: " + judged.error().message(), now, commands);
}

void on_step_refused(ClusterState& state, DeviceId from, const StepRefused& refused, Time now,
                     ClusterCommands& commands) {
  if (!state.active || !state.active_is_whole || refused.epoch != state.active->epoch ||
      !state.active->uses(from))
    return;
  log_warn("step_refused", {{"device", from},
                            {"sequence", refused.sequence},
                            {"step", refused.step},
                            {"expected", refused.expected},
                            {"detail", refused.detail}});
  // What is missing was lost under way; all that is unanswered goes again, and stages answer what they took
  // before from their logs.
  if (refused.reason == RefusalReason::Gap)
    return send_steps(state, state.scheduler.take_unanswered(now), now, commands);
  if (refused.reason != RefusalReason::Lost)
    blame(state, {.sequence = refused.sequence, .step = refused.step}, refused.detail);
  restart_epoch(state, "a step was refused: " + refused.detail, now, commands);
}

void submit(ClusterState& state, SubmitRequest request, Time now, ClusterCommands& commands) {
  const bool can_serve = state.phase == Phase::Ready || state.phase == Phase::Recovering;
  if (!can_serve) {
    const bool lost = state.phase == Phase::InsufficientMemory;
    commands.push_back(DeliverEvent{
        request.id,
        FailedEvent{ErrorCode::Unavailable, std::string(name_of(state.phase)) + ": " + state.detail,
                    lost ? "insufficient_capacity" : "not_ready"}});
    return;
  }
  state.scheduler.submit(request.id, std::move(request.request), now);
}

}  // namespace shoal
