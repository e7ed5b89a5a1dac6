#include <algorithm>

#include "base/log.h"
#include "coordinator/broken_links.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/familiar_plan.h"
#include "coordinator/plan_builder.h"
#include "coordinator/plan_choice.h"
#include "coordinator/replanning.h"
#include "transport/limits.h"

namespace shoal {
namespace {

constexpr Duration kSettle = std::chrono::milliseconds(300);
constexpr Duration kImproveSettle =
    std::chrono::seconds(3);  // hysteresis: the membership has been quiet for this long
// How long requests wait when no plan can serve them: for a device that is being measured; for one to come
// when none is here, or for a broken link; and in all, however devices come and go.
constexpr Duration kNewcomerPatience = std::chrono::seconds(30);
constexpr Duration kReturnPatience = std::chrono::seconds(10);
constexpr Duration kLongestOutage = std::chrono::minutes(2);
constexpr Duration kDoubtfulSilence = 4 * kBeatInterval;

// No plan can serve: what runs ends with the reason, and so does what comes until a device joins.
void give_up(ClusterState& state, Phase phase, const std::string& reason) {
  if (state.phase != phase || state.detail != reason) log_error("service_lost", {{"reason", reason}});
  state.phase = phase;
  state.detail = reason;
  state.pending.reset();
  state.active.reset();
  state.active_is_whole = false;
  state.recovering_since.reset();
  state.helpless_since.reset();
  state.planning_failed = true;
  state.scheduler.stop_epoch();
  const bool is_short = phase == Phase::InsufficientMemory;
  state.scheduler.fail_all({is_short ? ErrorCode::OutOfMemory : ErrorCode::Unavailable, reason,
                            is_short ? "insufficient_capacity" : "service_lost"});
}

// What clients and users read while there is no plan: renewed as devices come and are measured.
void describe_waiting(ClusterState& state, Time now) {
  if (state.phase != Phase::WaitingForDevices && state.phase != Phase::Measuring) return;
  if (state.planning_failed) return;  // its reason stands
  const auto online = std::ranges::count_if(state.members, [](const auto& m) { return m.second.online; });
  const std::size_t measured = plannable_devices(state, now).size();
  const std::uint32_t wanted = std::max({state.settings.min_stages, state.settings.expect_devices, 1u});
  state.phase = static_cast<std::size_t>(online) > measured ? Phase::Measuring : Phase::WaitingForDevices;
  state.detail = std::to_string(online) + " of " + std::to_string(wanted) + " devices have joined, " +
                 std::to_string(measured) + " are measured";
}

void make_first_plan(ClusterState& state, const std::vector<DeviceId>& devices, Time now,
                     ClusterCommands& commands) {
  const auto count = static_cast<std::uint32_t>(devices.size());
  const std::uint32_t least = state.lost_devices_before ? 1 : std::max(state.settings.min_stages, 1u);
  const bool still_waits =
      count < state.settings.expect_devices && now - state.started_at < state.settings.expect_patience;
  if (count < least || (still_waits && !state.lost_devices_before)) return;
  Result<PlanVersion> version =
      choose_working_plan(state, devices, std::min(state.settings.min_stages, count));
  if (version)
    return prepare(state, prefer_familiar(state, *std::move(version)), "first plan", now, commands);
  give_up(
      state,
      version.error().code() == ErrorCode::OutOfMemory ? Phase::InsufficientMemory : Phase::WaitingForDevices,
      version.error().message());
}

void look_for_better_plan(ClusterState& state, const std::vector<DeviceId>& devices, Time now,
                          ClusterCommands& commands) {
  state.membership_changed = false;
  if (devices.empty()) return;
  Result<PlanVersion> better = choose_better_plan(state, devices);
  if (!better) return;
  std::string why = advantage(state, *better, static_cast<std::uint32_t>(devices.size()));
  if (!why.empty()) prepare(state, prefer_familiar(state, *std::move(better)), std::move(why), now, commands);
}

// What requests wait for while no plan can serve them, in words; empty: nothing that is about to change it.
std::string hope(const ClusterState& state, Time now) {
  const Duration waited = now - state.helpless_since.value_or(now);
  if (waited > kLongestOutage) return "";
  const Duration quiet = now - state.membership_changed_at;
  bool anybody = false;
  bool newcomer = false;  // here, cannot be planned yet and soon can
  bool in_doubt = false;  // silent, and not long enough to be lost
  for (const auto& [id, member] : state.members) {
    if (!member.online || !member.excluded.empty()) continue;
    const bool is_new = !member.profile || !member.links_measured;
    anybody = true;
    newcomer = newcomer || (is_new && member.retry_at == Time{});
    in_doubt = in_doubt || now - member.silence.heard_at() > kDoubtfulSilence;
  }
  if (!anybody && quiet <= kReturnPatience) return "waiting for a device to return or join";
  if (newcomer && quiet <= kNewcomerPatience) return "waiting for a device that is being measured";
  if (in_doubt) return "waiting to hear which devices are left";
  return !state.broken_links.empty() && waited <= kReturnPatience ? "waiting for a broken link" : "";
}

}  // namespace

bool PlanVersion::uses(DeviceId device) const {
  return std::ranges::any_of(plan.stages,
                             [&](const PlannedStage& stage) { return devices[stage.device] == device; });
}

// Those left out are told, too: they free what they hold.
void prepare(ClusterState& state, PlanVersion version, std::string why, Time now, ClusterCommands& commands) {
  version.epoch = make_epoch(state.settings.term, ++state.plan_version);
  version.why = std::move(why);
  version.made_at = now;
  version.awaited.clear();
  for (auto& [id, member] : state.members) {
    if (!member.online) continue;
    if (version.uses(id)) version.awaited.insert(id);
    member.load_heard_at = member.load_moved_at = member.load_told_at = now;
    send_control(id, plan_message_for(state, version, id), commands);
  }
  log_info("plan_made", {{"epoch", version.epoch},
                         {"why", version.why},
                         {"stages", version.plan.stages.size()},
                         {"predicted_seconds_per_token", version.plan.prediction.seconds_per_token}});
  if (state.phase != Phase::Ready)
    state.phase = state.phase == Phase::Recovering ? Phase::Recovering : Phase::Loading;
  if (state.phase == Phase::Loading) state.detail = "workers load their layers";
  state.helpless_since.reset();
  state.pending = std::move(version);
}

void activate(ClusterState& state, Time now, ClusterCommands& commands) {
  state.active = std::move(state.pending);
  state.pending.reset();
  state.active_is_whole = true;
  state.doubted_at = now;
  for (const auto& [id, member] : state.members) {
    if (member.online) send_control(id, Activate{state.active->epoch}, commands);
  }
  state.phase = Phase::Ready;
  state.detail.clear();
  if (state.recovering_since) state.last_recovery_seconds = seconds(now - *state.recovering_since);
  state.recovering_since.reset();
  log_info("plan_active", {{"epoch", state.active->epoch}, {"why", state.active->why}});
  if (!state.active->is_repair) {
    state.familiar = plan_to_remember(state, *state.active);
    commands.push_back(*state.familiar);
  }
  state.record.begin(state.active->plan.stages.size());
  note_plan_change(state, state.active->by_measurements, now);
  state.scheduler.start_epoch(pipeline_shape(state, *state.active));
}

void drop_pending(ClusterState& state) {
  state.pending.reset();
  state.membership_changed = true;
}

void consider_plan(ClusterState& state, Time now, ClusterCommands& commands) {
  if (!state.active && !state.pending) describe_waiting(state, now);
  if (state.pending || measures_newcomer(state) || state.probing_links) return;
  const Duration quiet = now - state.membership_changed_at;
  if (!state.active) {
    if (quiet >= kSettle && (state.membership_changed || !state.planning_failed)) {
      state.membership_changed = state.planning_failed = false;
      make_first_plan(state, plannable_devices(state, now), now, commands);
    }
    return;
  }
  if (!state.active_is_whole) {
    if (state.membership_changed || hope(state, now).empty()) {
      state.membership_changed = false;
      recover(state, state.recovering_why, now, commands);
    }
    return;
  }
  if (state.membership_changed) {
    if (quiet >= kImproveSettle) look_for_better_plan(state, plannable_devices(state, now), now, commands);
    return;
  }
  std::optional<PlanVersion> better = reconsider(state, plannable_devices(state, now), now);
  if (!better) return;
  std::string why = std::move(better->why);
  prepare(state, *std::move(better), std::move(why), now, commands);
}

void plan_without(ClusterState& state, DeviceId device, const std::string& why, Time now,
                  ClusterCommands& commands) {
  const bool serves = state.active && state.active_is_whole;
  const bool hits_pending = state.pending && state.pending->uses(device);
  if (serves && state.active->uses(device)) return recover(state, why, now, commands);
  if (!hits_pending) return;
  if (serves) return drop_pending(state);
  if (state.active) return recover(state, why, now, commands);
  state.lost_devices_before = true;  // nothing served yet: begin again with who is left
  drop_pending(state);
}

namespace {

Result<PlanVersion> choose_recovery(const ClusterState& state, const std::vector<DeviceId>& available) {
  if (available.empty()) return fail(ErrorCode::Unavailable, "no device is left");
  Result<PlanVersion> repair = choose_repair(state, *state.active, available);
  if (repair && broken_link_in(state, *repair).empty()) return repair;
  return choose_working_plan(state, available, 1);
}

// While there is hope, requests wait instead of ending.
bool wait_for_help(ClusterState& state, Time now) {
  const std::string awaited = hope(state, now);
  if (awaited.empty()) return false;
  if (!state.helpless_since) state.helpless_since = now;
  state.probe_wanted = state.probe_wanted || !state.broken_links.empty();
  state.detail += "; " + awaited;
  log_warn("service_waits", {{"why", state.detail}});
  return true;
}

}  // namespace

void recover(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands) {
  if (std::exchange(state.active_is_whole, false)) {
    state.scheduler.stop_epoch();
    state.recovering_since = now;
  }
  state.lost_devices_before = true;
  state.phase = Phase::Recovering;
  state.detail = state.recovering_why = why;
  state.pending.reset();
  Result<PlanVersion> plan = choose_recovery(state, plannable_devices(state, now));
  if (plan) return prepare(state, *std::move(plan), why, now, commands);
  if (wait_for_help(state, now)) return;
  const bool is_short = plan.error().code() == ErrorCode::OutOfMemory;
  const char* lead = is_short ? "; the survivors cannot hold the model: " : "; no other plan can serve: ";
  give_up(state, is_short ? Phase::InsufficientMemory : Phase::WaitingForDevices,
          why + lead + plan.error().message());
}

void restart_epoch(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands) {
  if (!state.active || !state.active_is_whole) return;
  constexpr std::uint32_t kMostFruitless = 4;
  constexpr std::uint32_t kFruitlessUntilProbed = 2;
  ++state.epochs_restarted;
  state.membership_changed =
      state.membership_changed || state.pending;  // a plan in preparation is dropped: another look follows
  if (state.fruitless_epochs + 1 >= kFruitlessUntilProbed) state.probe_wanted = true;
  if (++state.fruitless_epochs > kMostFruitless) {
    state.fruitless_epochs = 0;
    state.scheduler.fail_all(
        {ErrorCode::Unavailable, "the pipeline makes no progress: " + why, "pipeline_stalled"});
  }
  log_warn("epoch_restarted", {{"epoch", state.active->epoch}, {"why", why}});
  state.scheduler.stop_epoch();
  state.recovering_since = now;
  state.active_is_whole = false;
  state.phase = Phase::Recovering;
  state.detail = why;
  PlanVersion same = *state.active;
  same.by_measurements = false;
  prepare(state, std::move(same), why, now, commands);
}

}  // namespace shoal
