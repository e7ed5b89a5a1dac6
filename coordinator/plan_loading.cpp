#include <algorithm>

#include "base/log.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/plan_builder.h"

// What workers say, or do not say, of the plan that they load.
namespace shoal {
namespace {

constexpr Duration kRetryAfterFailure = std::chrono::seconds(10);
constexpr Duration kTellAgain = std::chrono::seconds(3);  // a loading worker says something twice a second
constexpr Duration kLoadSilence = std::chrono::seconds(30);
constexpr Duration kLoadStandstill = std::chrono::minutes(2);

// What it holds of this plan is on its disk from now on.
void note_stored(const ClusterState& state, Member& member, Epoch epoch) {
  for (const std::optional<PlanVersion>* plan : {&state.pending, &state.active}) {
    if (!*plan || (*plan)->epoch != epoch) continue;
    for (std::size_t i = 0; i < (*plan)->plan.stages.size(); ++i) {
      if ((*plan)->device_of(i) != member.id) continue;
      const Range units = (*plan)->plan.stages[i].units;
      for (std::uint32_t unit = units.begin; unit < units.end; ++unit) member.stored_units.insert(unit);
    }
  }
}

void on_stage_failure(ClusterState& state, DeviceId from, const StageStatus& status, Time now,
                      ClusterCommands& commands) {
  Member& member = state.members.at(from);
  ++member.failures;
  member.retry_at = now + kRetryAfterFailure * std::min(member.failures, 6u);
  log_error("stage_failed", {{"device", from}, {"epoch", status.epoch}, {"reason", status.reason}});
  const bool of_pending = state.pending && status.epoch == state.pending->epoch;
  if (of_pending && (!state.active || state.active_is_whole)) return drop_pending(state);
  recover(state, member.name + " cannot run its stage: " + status.reason, now, commands);
}

}  // namespace

void on_stage_status(ClusterState& state, DeviceId from, const StageStatus& status, Time now,
                     ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (found == state.members.end() || !found->second.online) return;
  Member& member = found->second;
  member.load_heard_at = now;
  const bool moved = !member.status || member.status->epoch != status.epoch ||
                     member.status->bytes_present != status.bytes_present;
  if (moved) member.load_moved_at = now;
  member.status = status;
  if (status.state == StageState::Ready) note_stored(state, member, status.epoch);
  const bool of_pending = state.pending && status.epoch == state.pending->epoch;
  const bool of_active = state.active && status.epoch == state.active->epoch;
  if (status.state == StageState::Failed && (of_pending || of_active))
    return on_stage_failure(state, from, status, now, commands);
  if (of_pending && status.state == StageState::Ready) {
    state.pending->awaited.erase(from);
    if (state.pending->awaited.empty()) activate(state, now, commands);
  }
  // A device that has no part was not waited for: it may have been told to activate before it was ready to.
  if (of_active && status.state == StageState::Ready && member.beat.epoch != status.epoch)
    send_control(from, Activate{status.epoch}, commands);
}

void watch_pending(ClusterState& state, Time now, ClusterCommands& commands) {
  if (!state.pending) return;
  for (const DeviceId id : std::set<DeviceId>(state.pending->awaited)) {
    Member& member = state.members.at(id);
    const bool is_silent = now - member.load_heard_at > kLoadSilence;
    if (member.load_heard_at == Time{} ||
        (now - member.load_heard_at > kTellAgain && now - member.load_told_at > kTellAgain)) {
      if (member.load_heard_at == Time{}) member.load_heard_at = now;
      member.load_told_at = now;
      send_control(id, plan_message_for(state, *state.pending, id), commands);
    } else if (is_silent || now - member.load_moved_at > kLoadStandstill) {
      const char* why = is_silent ? "it says nothing about its layers" : "loading its layers stands still";
      return on_stage_failure(state, id,
                              {.epoch = state.pending->epoch, .state = StageState::Failed, .reason = why},
                              now, commands);
    }
  }
}

}  // namespace shoal
