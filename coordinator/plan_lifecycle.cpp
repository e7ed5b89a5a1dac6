#include <algorithm>

#include "base/log.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

constexpr Duration kSettle = std::chrono::milliseconds(300);
constexpr Duration kImproveSettle = std::chrono::seconds(3);   // hysteresis: the membership has been quiet for this long
constexpr double kWorthwhileGain = 0.15;
constexpr Duration kRetryAfterFailure = std::chrono::seconds(10);

double objective_of(const ClusterState& state, const Prediction& prediction) {
  return state.settings.objective == Objective::Latency ? prediction.seconds_per_token : prediction.bottleneck_seconds;
}

std::uint32_t distinct_devices(const Plan& plan) {
  std::set<std::uint32_t> devices;
  for (const PlannedStage& stage : plan.stages) devices.insert(stage.device);
  return static_cast<std::uint32_t>(devices.size());
}

// Sends the plan to everybody who is online: those left out free what they hold.
void prepare(ClusterState& state, PlanVersion version, std::string why, Time now, ClusterCommands& commands) {
  version.epoch = make_epoch(state.settings.term, ++state.plan_version);
  version.why = std::move(why);
  version.made_at = now;
  version.awaited.clear();
  for (const auto& [id, member] : state.members) {
    if (!member.online) continue;
    if (version.uses(id)) version.awaited.insert(id);
    send_control(id, plan_message_for(state, version, id), commands);
  }
  log_info("plan_made", {{"epoch", version.epoch}, {"why", version.why}, {"stages", version.plan.stages.size()},
                         {"predicted_seconds_per_token", version.plan.prediction.seconds_per_token}});
  if (state.phase != Phase::Ready) state.phase = state.phase == Phase::Recovering ? Phase::Recovering : Phase::Loading;
  if (state.phase == Phase::Loading) state.detail = "workers load their layers";
  state.pending = std::move(version);
}

void activate(ClusterState& state, Time now, ClusterCommands& commands) {
  state.active = std::move(state.pending);
  state.pending.reset();
  state.active_is_whole = true;
  for (const auto& [id, member] : state.members) {
    if (member.online) send_control(id, Activate{state.active->epoch}, commands);
  }
  state.phase = Phase::Ready;
  state.detail.clear();
  if (state.recovering_since) state.last_recovery_seconds = seconds(now - *state.recovering_since);
  state.recovering_since.reset();
  log_info("plan_active", {{"epoch", state.active->epoch}, {"why", state.active->why}});
  state.scheduler.start_epoch(pipeline_shape(state, *state.active));
}

// No plan can serve: what runs ends with the reason, and so does what comes until a device joins.
void give_up(ClusterState& state, Phase phase, const std::string& reason) {
  if (state.phase != phase || state.detail != reason) log_error("service_lost", {{"reason", reason}});
  state.phase = phase;
  state.detail = reason;
  state.pending.reset();
  state.active.reset();
  state.active_is_whole = false;
  state.recovering_since.reset();
  state.scheduler.stop_epoch();
  state.scheduler.fail_all({ErrorCode::OutOfMemory, reason, "insufficient_capacity"});
}

void make_first_plan(ClusterState& state, const std::vector<DeviceId>& devices, Time now, ClusterCommands& commands) {
  const auto count = static_cast<std::uint32_t>(devices.size());
  const std::uint32_t least = state.lost_devices_before ? 1 : std::max(state.settings.min_stages, 1u);
  const bool still_waits = count < state.settings.expect_devices && now - state.started_at < state.settings.expect_patience;
  if (count < least || (still_waits && !state.lost_devices_before)) {
    const auto online = std::ranges::count_if(state.members, [](const auto& m) { return m.second.online; });
    if (state.phase != Phase::InsufficientMemory) {
      state.phase = online > count ? Phase::Measuring : Phase::WaitingForDevices;
      state.detail = std::to_string(count) + " of " + std::to_string(std::max(least, still_waits ? state.settings.expect_devices : least)) +
                     " devices are measured, " + std::to_string(online) + " joined";
    }
    return;
  }
  Result<PlanVersion> version = choose_plan(state, devices, std::min(state.settings.min_stages, count));
  if (version) return prepare(state, *std::move(version), "first plan", now, commands);
  give_up(state, version.error().code() == ErrorCode::OutOfMemory ? Phase::InsufficientMemory : Phase::WaitingForDevices,
          version.error().message());
}

void look_for_better_plan(ClusterState& state, const std::vector<DeviceId>& devices, Time now, ClusterCommands& commands) {
  if (devices.empty()) return;
  const auto count = static_cast<std::uint32_t>(devices.size());
  Result<PlanVersion> better = choose_plan(state, devices, std::min(std::max(state.settings.min_stages, 1u), count));
  state.membership_changed = false;
  if (!better) return;
  const bool keeps_wish = distinct_devices(state.active->plan) >= std::min(state.settings.min_stages, count);
  // Judged under today's measurements: the active plan's own prediction may be of other devices.
  const double today = objective_of(state, state.active->plan.prediction);
  const bool gains = objective_of(state, better->plan.prediction) < (1 - kWorthwhileGain) * today;
  if (!keeps_wish || gains) {
    prepare(state, *std::move(better), keeps_wish ? "a faster plan after devices joined" : "devices joined: back to min_stages", now, commands);
  }
}

void on_stage_failure(ClusterState& state, DeviceId from, const StageStatus& status, Time now, ClusterCommands& commands) {
  Member& member = state.members.at(from);
  ++member.failures;
  member.retry_at = now + kRetryAfterFailure * std::min(member.failures, 6u);
  log_error("stage_failed", {{"device", from}, {"epoch", status.epoch}, {"reason", status.reason}});
  recover(state, member.name + " cannot run its stage: " + status.reason, now, commands);
}

}  // namespace

bool PlanVersion::uses(DeviceId device) const {
  return std::ranges::any_of(plan.stages, [&](const PlannedStage& stage) { return devices[stage.device] == device; });
}

void consider_plan(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.pending || state.profiling || !state.probing.empty()) return;
  const Duration quiet = now - state.membership_changed_at;
  if (!state.active) {
    if (quiet >= kSettle && (state.membership_changed || state.phase != Phase::InsufficientMemory)) {
      state.membership_changed = false;
      make_first_plan(state, plannable_devices(state, now), now, commands);
    }
    return;
  }
  if (state.active_is_whole && state.membership_changed && quiet >= kImproveSettle) {
    look_for_better_plan(state, plannable_devices(state, now), now, commands);
  }
}

void on_stage_status(ClusterState& state, DeviceId from, const StageStatus& status, Time now, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (found == state.members.end() || !found->second.online) return;
  found->second.status = status;
  const bool of_pending = state.pending && status.epoch == state.pending->epoch;
  const bool of_active = state.active && status.epoch == state.active->epoch;
  if (status.state == StageState::Failed && (of_pending || of_active)) return on_stage_failure(state, from, status, now, commands);
  if (of_pending && status.state == StageState::Ready) {
    state.pending->awaited.erase(from);
    if (state.pending->awaited.empty()) activate(state, now, commands);
  }
}

void recover(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands) {
  const bool broke_active = state.active.has_value();
  const bool was_serving = broke_active && state.active_is_whole;
  const auto available = plannable_devices(state, now);
  const auto intact = [&](const PlanVersion& version) {
    return std::ranges::all_of(version.plan.stages, [&](const PlannedStage& stage) {
      return std::ranges::find(available, version.devices[stage.device]) != available.end();
    });
  };
  if (broke_active && was_serving && intact(*state.active)) {
    state.pending.reset();  // only a plan in preparation was hit: what serves goes on, another look follows
    state.membership_changed = true;
    return;
  }
  state.lost_devices_before = true;
  if (!broke_active) {
    state.pending.reset();  // nothing served yet: begin again with who is left
    state.membership_changed = true;
    return;
  }
  if (was_serving) {
    state.scheduler.stop_epoch();
    state.recovering_since = now;
  }
  state.active_is_whole = false;
  state.phase = Phase::Recovering;
  state.detail = why;
  state.pending.reset();
  if (available.empty()) return give_up(state, Phase::WaitingForDevices, why + "; no device is left");
  Result<PlanVersion> repair = choose_repair(state, *state.active, available);
  if (repair) return prepare(state, *std::move(repair), why, now, commands);
  give_up(state, Phase::InsufficientMemory, why + "; the survivors cannot hold the model: " + repair.error().message());
}

void restart_epoch(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands) {
  if (!state.active || !state.active_is_whole) return;
  constexpr std::uint32_t kMostFruitless = 4;
  ++state.epochs_restarted;
  if (++state.fruitless_epochs > kMostFruitless) {
    state.fruitless_epochs = 0;
    state.scheduler.fail_all({ErrorCode::Unavailable, "the pipeline makes no progress: " + why, "pipeline_stalled"});
  }
  log_warn("epoch_restarted", {{"epoch", state.active->epoch}, {"why", why}});
  state.scheduler.stop_epoch();
  state.recovering_since = now;
  state.active_is_whole = false;
  state.phase = Phase::Recovering;
  state.detail = why;
  PlanVersion same = *state.active;
  prepare(state, std::move(same), why, now, commands);
}

}  // namespace shoal
