#include "coordinator/cluster_state.h"

#include "base/log.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/learning.h"
#include "coordinator/plan_problem.h"

namespace shoal {
namespace {

void on_received(ClusterState& state, Received received, Time now, ClusterCommands& commands) {
  const DeviceId from = received.from;
  const auto sender = state.members.find(from);
  if (sender == state.members.end() || sender->second.revoked) return;
  std::visit(
      [&]<typename M>(M& message) {
        const bool is_control = received.lane == Lane::Control;
        const bool is_data = received.lane == Lane::Data;
        if constexpr (std::is_same_v<M, Hello>) {
          if (is_control) on_hello(state, from, std::move(message), now, commands);
        } else if constexpr (std::is_same_v<M, Beat>) {
          if (is_control) on_beat(state, from, std::move(message), now, commands);
        } else if constexpr (std::is_same_v<M, StageStatus>) {
          if (is_control) on_stage_status(state, from, message, now, commands);
        } else if constexpr (std::is_same_v<M, ProfileReport>) {
          if (is_control) on_profile_report(state, from, std::move(message), now, commands);
        } else if constexpr (std::is_same_v<M, LinkReport>) {
          if (is_control) on_link_report(state, from, message, commands);
        } else if constexpr (std::is_same_v<M, StepRefused>) {
          if (is_control) on_step_refused(state, from, message, now, commands);
        } else if constexpr (std::is_same_v<M, PeerUnreachable>) {
          if (is_control) on_peer_unreachable(state, from, message);
        } else if constexpr (std::is_same_v<M, CandidatesFrame>) {
          if (is_data) on_candidates(state, from, std::move(message), now, commands);
        } else if constexpr (std::is_same_v<M, Ping>) {
          if (is_data) commands.push_back(SendMessage{from, Lane::Data, Pong{.nonce = message.nonce}});
        } else if constexpr (std::is_same_v<M, Pong>) {
          if (is_data) on_hub_pong(state, from, message, now);
        }
      },
      received.message);
}

void on_network(ClusterState& state, NetworkEvent event, Time now, ClusterCommands& commands) {
  if (auto* received = std::get_if<Received>(&event)) {
    on_received(state, std::move(*received), now, commands);
  } else if (const auto* join = std::get_if<JoinReceived>(&event)) {
    on_join_request(state, *join, commands);
  } else if (const auto* down = std::get_if<PeerDown>(&event)) {
    on_peer_down(state, *down, now, commands);
  } else if (const auto* malformed = std::get_if<Malformed>(&event)) {
    on_malformed(state, *malformed, now, commands);
  }
}

void on_tick(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.started_at == Time{}) state.started_at = now;
  watch_members(state, now, commands);
  watch_pending(state, now, commands);
  measure(state, now, commands);
  learn_links(state, now);
  consider_plan(state, now, commands);
}

}  // namespace

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::WaitingForDevices:
      return "waiting_for_devices";
    case Phase::Measuring:
      return "measuring";
    case Phase::Loading:
      return "loading";
    case Phase::Ready:
      return "ready";
    case Phase::Recovering:
      return "recovering";
    case Phase::InsufficientMemory:
      return "insufficient_memory";
  }
  return "unknown";
}

ClusterState::ClusterState(ServedModel m, ClusterSettings s, const TokenText& text)
    : model(std::move(m)),
      settings(std::move(s)),
      scheduler(settings.scheduler, model.config, text),
      representatives(representatives_of(model)) {}

void restore_member(ClusterState& state, const RememberDevice& device, std::vector<RememberProfile> profiles,
                    ClusterCommands& commands) {
  Member& member = state.members[device.device];
  member.id = device.device;
  member.name = device.name;
  member.public_key = device.public_key;
  member.revoked = device.revoked;
  member.known_profiles = std::move(profiles);
  if (raw(device.device) > raw(state.last_device)) state.last_device = device.device;
  if (!device.revoked) commands.push_back(AdmitPeer{device.device, device.public_key});
}

void restore_links(ClusterState& state, const RememberLinks& links) {
  for (const RememberLinks::Link& link : links.links) state.known_links.insert(link);
}

void on_event(ClusterState& state, ClusterEvent event, Time now, ClusterCommands& commands) {
  forgive_own_sleep(state, now);
  if (auto* network = std::get_if<NetworkEvent>(&event)) {
    on_network(state, std::move(*network), now, commands);
  } else if (auto* request = std::get_if<SubmitRequest>(&event)) {
    submit(state, std::move(*request), now, commands);
  } else if (const auto* cancelled = std::get_if<CancelRequest>(&event)) {
    state.scheduler.cancel(cancelled->id);
  } else {
    on_tick(state, now, commands);
  }
  pump(state, now, commands);
}

}  // namespace shoal
