#include <algorithm>
#include <utility>

#include "base/log.h"
#include "coordinator/broken_links.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/learning.h"
#include "kernels/kernel_table.h"
#include "kernels/panels.h"
#include "transport/limits.h"

namespace shoal {
namespace {

constexpr Duration kStandstill = std::chrono::seconds(20);  // steps queued and no work finished
constexpr Duration kRestAfterStandstill = std::chrono::seconds(60);
constexpr std::size_t kReplacedKept = 16;
constexpr Duration kRecalledStayFresh = std::chrono::seconds(30);  // links as an earlier run measured them
// Ticks come every kTick: between two events of an awake hub there is never this much. It is well below
// SilenceDetector::kFloor.
constexpr Duration kAsleep = 25 * kTick;

Member* find_by_key(ClusterState& state, const std::string& public_key) {
  const auto found =
      std::ranges::find_if(state.members, [&](const auto& m) { return m.second.public_key == public_key; });
  return found == state.members.end() ? nullptr : &found->second;
}

// A free id; nothing: the cluster is full. Where all ids were given out, the device gives its up that is away
// for longest and was not revoked: a revoked key must stay known.
std::optional<DeviceId> free_id(const ClusterState& state) {
  if (raw(state.last_device) + 1 < kMaxDevices) return next(state.last_device);
  const auto plans = [&](const std::optional<PlanVersion>& plan, DeviceId id) {
    return plan && plan->uses(id);
  };
  const Member* longest = nullptr;
  for (const auto& [id, member] : state.members) {
    if (member.online || member.revoked || plans(state.active, id) || plans(state.pending, id)) continue;
    if (!longest || member.seen_at < longest->seen_at) longest = &member;
  }
  return longest ? std::optional(longest->id) : std::nullopt;
}

// A name that another device has who is here; empty: it is free.
std::string name_obstacle(const ClusterState& state, const std::string& public_key, const std::string& name) {
  const bool is_taken = std::ranges::any_of(state.members, [&](const auto& known) {
    const Member& other = known.second;
    return other.public_key != public_key && other.online && other.name == name;
  });
  if (!is_taken) return "";
  return "another device is already here under the name \"" + name + "\": choose one with --name";
}

// Why this key may not join; empty if it may.
std::string join_obstacle(ClusterState& state, const JoinRequest& request) {
  if (request.protocol_version != kProtocolVersion) {
    return "the worker speaks protocol version " + std::to_string(request.protocol_version) +
           " and this hub version " + std::to_string(kProtocolVersion) + ": upgrade the older one";
  }
  const Member* known = find_by_key(state, request.public_key);
  if (known && known->revoked)
    return "this device's key was revoked; remove its key file to join with a new one";
  if (std::string taken = name_obstacle(state, request.public_key, request.name); !taken.empty())
    return taken;
  if (!known && !free_id(state)) {
    return "the cluster is full: it keeps " + std::to_string(kMaxDevices - 1) +
           " devices, and all of them are here or were revoked";
  }
  return "";
}

// A new key, under an id that nobody has any more.
Member& add_member(ClusterState& state, DeviceId id, const std::string& public_key) {
  for (auto& [other, member] : state.members) member.links.erase(id);
  forget_broken_links_of(state, id);
  Member& member = state.members[id];
  if (!member.public_key.empty())
    log_info("device_forgotten", {{"device", id}, {"name", member.name}, {"why", "another one joined"}});
  member = {};
  member.id = id;
  member.public_key = public_key;
  if (raw(id) > raw(state.last_device)) state.last_device = id;
  return member;
}

// Versions that cannot work together at all.
std::string hello_obstacle(const Hello& hello) {
  const auto differ = [](const char* what, std::uint32_t theirs, std::uint32_t ours) {
    return std::string("the worker has ") + what + " version " + std::to_string(theirs) +
           " and this hub version " + std::to_string(ours) + ": upgrade the older one";
  };
  if (hello.protocol_version != kProtocolVersion)
    return differ("protocol", hello.protocol_version, kProtocolVersion);
  if (hello.panel_layout_version != kPanelLayoutVersion) {
    return differ("panel layout", hello.panel_layout_version, kPanelLayoutVersion);
  }
  return "";
}

std::string exclusion_of(const ClusterState& state, const Hello& hello) {
  const bool same_bits = hello.arithmetic_version == kArithmeticVersion &&
                         hello.arithmetic_digest == state.settings.arithmetic_digest;
  if (same_bits || state.settings.allow_inexact) return "";
  return "not bit-exact: its kernels (" + hello.kernels + ") give other bits than the hub's";
}

// A profile of an earlier run counts while all it depends on is the same.
std::optional<ProfileReport> remembered_profile(const ClusterState& state, const Member& member) {
  for (const RememberProfile& known : member.known_profiles) {
    const bool same_device = known.profile_key == member.hello.profile_key;
    if (same_device && known.report.model == state.model.hash) return known.report;
  }
  return std::nullopt;
}

// Its worker is here, new or back.
void bring_online(ClusterState& state, Member& member, Time now, ClusterCommands& commands) {
  member.silence = {};
  member.silence.heard(now);
  member.online = true;
  member.may_return = false;
  member.excluded = exclusion_of(state, member.hello);
  member.links_measured = recall_links(state, member);
  if (member.links_measured && state.links_fresh_until == Time{})
    state.links_fresh_until = now + kRecalledStayFresh;
  member.links_again_at = {};
  member.status.reset();
  member.profile = remembered_profile(state, member);
  member.profile_attempts = 0;
  member.correction.clear();
  member.hand_over.clear();
  member.measure_pause = kLeastMeasurePause;
  member.measure_again_at = now + member.measure_pause;
  forget_broken_links_of(state, member.id);
  state.membership_changed = true;
  state.membership_changed_at = now;
  commands.push_back(ConnectPeer{member.id, Lane::Data, member.hello.inbox, member.public_key});
  log_info("device_joined", {{"device", member.id},
                             {"name", member.name},
                             {"inbox", member.hello.inbox},
                             {"memory_bytes", member.hello.memory_bytes},
                             {"kernels", member.hello.kernels},
                             {"excluded", member.excluded}});
}

// The same process found its way back: what was said to it meanwhile may be lost.
void say_again(ClusterState& state, Member& member, ClusterCommands& commands) {
  member.load_heard_at = member.load_told_at = {};
  if (state.profiling == member.id) ask_for_profile(state, member.id, commands);
}

void remember_replaced(Member& member, std::uint64_t instance) {
  if (member.replaced.size() >= kReplacedKept) member.replaced.erase(member.replaced.begin());
  member.replaced.push_back(instance);
}

std::string loss_of(const Member& member, const std::string& why) {
  return "lost " + member.name + ": " + why;
}

// The steps that were with it may be what it died of.
void note_death(ClusterState& state, DeviceId device) {
  if (state.active && state.active_is_whole && state.active->uses(device)) state.scheduler.device_died();
}

// What a loss means for the device alone; the plan is looked at after.
void take_offline(ClusterState& state, Member& member, const std::string& why, Time now,
                  ClusterCommands& commands) {
  log_warn("device_lost", {{"device", member.id}, {"name", member.name}, {"why", why}});
  member.online = false;
  member.seen_at = now;
  member.beat = {};
  member.working_at = {};
  forget_broken_links_of(state, member.id);
  ++state.devices_lost;
  state.membership_changed = true;
  state.membership_changed_at = now;
  if (state.profiling == member.id) state.profiling.reset();
  state.probing.erase(member.id);
  commands.push_back(DisconnectPeer{member.id, Lane::Data});
}

}  // namespace

void on_join_request(ClusterState& state, const JoinReceived& join, ClusterCommands& commands) {
  JoinReply reply{.admitted = false, .reason = join_obstacle(state, join.request)};
  if (reply.reason.empty()) {
    Member* member = find_by_key(state, join.request.public_key);
    if (!member) member = &add_member(state, *free_id(state), join.request.public_key);
    member->name = join.request.name;
    member->seen_at = state.awake_at;
    commands.push_back(AdmitPeer{member->id, member->public_key});
    commands.push_back(RememberDevice{member->id, member->name, member->public_key, false});
    reply.admitted = true;
    reply.device = member->id;
    reply.control_port = state.settings.control_port;
    reply.data_port = state.settings.data_port;
    reply.bulk_port = state.settings.bulk_port;
  }
  log_info("join_request",
           {{"name", join.request.name}, {"admitted", reply.admitted}, {"reason", reply.reason}});
  commands.push_back(AnswerJoin{join.ticket, std::move(reply)});
}

void on_hello(ClusterState& state, DeviceId from, Hello hello, Time now, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (found == state.members.end()) return;
  Member& member = found->second;
  std::string obstacle = hello_obstacle(hello);
  if (obstacle.empty()) obstacle = name_obstacle(state, member.public_key, hello.name);
  // Two processes with one key would push each other out for ever; the older one goes.
  const bool was_replaced = std::ranges::find(member.replaced, hello.instance) != member.replaced.end();
  if (was_replaced) obstacle = "a newer worker process with this device's key took its place";
  if (!obstacle.empty()) {
    log_warn("worker_refused", {{"device", from}, {"reason", obstacle}});
    return send_control(from, Refused{std::move(obstacle)}, commands);
  }
  const bool is_new_process = member.hello.instance != hello.instance;
  if (is_new_process && member.hello.instance != 0) remember_replaced(member, member.hello.instance);
  if (member.online && is_new_process)
    lose_device(state, from, "its worker was started again", now, commands);
  member.name = hello.name;
  member.hello = std::move(hello);
  member.silence.heard(now);
  send_control(from, Welcome{from, state.active ? state.active->epoch : Epoch{0}}, commands);
  member.online ? say_again(state, member, commands) : bring_online(state, member, now, commands);
}

void on_beat(ClusterState& state, DeviceId from, Beat beat, Time now, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (found == state.members.end()) return;
  Member& member = found->second;
  if (!member.online && !member.may_return) return;
  if (!member.online) bring_online(state, member, now, commands);
  member.silence.heard(now);
  learn_from_beat(state, member, beat, now);
  const bool moved = beat.finished_work != member.beat.finished_work || beat.busy == 0;
  if (moved || member.working_at == Time{}) member.working_at = now;
  member.beat = std::move(beat);
}

void on_peer_down(ClusterState& state, const PeerDown& down, Time now, ClusterCommands& commands) {
  const auto found = state.members.find(down.device);
  if (found == state.members.end()) return;
  if (!found->second.online) {
    if (down.refused) found->second.may_return = false;
    return;
  }
  // Refused: nothing listens there any more, the process is dead. Otherwise the link may come back: its
  // silence will tell.
  if (down.refused) return lose_device(state, down.device, "its process ended", now, commands);
  if (down.lane == Lane::Data) mark_broken(state, kHub, down.device);
}

void on_peer_unreachable(ClusterState& state, DeviceId from, const PeerUnreachable& unreachable) {
  const auto found = state.members.find(unreachable.device);
  const bool both_here =
      found != state.members.end() && found->second.online && state.members.at(from).online;
  log_info("peer_unreachable", {{"device", unreachable.device}, {"says", from}});
  if (both_here) mark_broken(state, from, unreachable.device);
}

void on_malformed(ClusterState& state, const Malformed& malformed, Time now, ClusterCommands& commands) {
  const auto found = state.members.find(malformed.from);
  log_warn("malformed_frames",
           {{"device", malformed.from}, {"lane", name_of(malformed.lane)}, {"reason", malformed.reason}});
  if (found == state.members.end()) return;
  Member& member = found->second;
  member.revoked = true;
  send_control(member.id, Refused{"it sent malformed frames (" + malformed.reason + "): its key was revoked"},
               commands);
  commands.push_back(RevokePeer{member.id});
  commands.push_back(RememberDevice{member.id, member.name, member.public_key, true});
  lose_device(state, member.id, "it sent malformed frames: " + malformed.reason, now, commands);
}

void forgive_own_sleep(ClusterState& state, Time now) {
  const Time awake_at = std::exchange(state.awake_at, now);
  if (awake_at == Time{} || now - awake_at < kAsleep) return;
  // It counts as one beat that did not come: a hub that sleeps again and again still finds who is gone.
  const Duration asleep = now - awake_at - kBeatInterval;
  log_warn("hub_stood_still", {{"seconds", seconds(now - awake_at)}});
  for (auto& [id, member] : state.members) {
    member.silence.forgive(asleep);
    for (Time* since : {&member.working_at, &member.load_heard_at, &member.load_moved_at}) {
      if (*since != Time{}) *since += asleep;
    }
  }
  state.scheduler.forgive(asleep);
  if (state.doubted_at) *state.doubted_at += asleep;
}

void watch_members(ClusterState& state, Time now, ClusterCommands& commands) {
  std::vector<std::pair<DeviceId, const char*>> lost;
  for (auto& [id, member] : state.members) {
    if (member.retry_at != Time{} && now >= member.retry_at) {  // it may be planned again
      member.retry_at = {};
      state.membership_changed = true;
    }
    if (!member.online) continue;
    if (member.silence.is_suspect(now)) {
      lost.emplace_back(id, "it fell silent");
    } else if (member.beat.busy > 0 && now - member.working_at > kStandstill) {
      member.retry_at = now + kRestAfterStandstill;
      note_death(state, id);
      lost.emplace_back(id, "its compute stands still");
    }
  }
  // First all of them: no plan is made over one that is gone as well.
  for (const auto& [id, why] : lost) {
    take_offline(state, state.members.at(id), why, now, commands);
    state.members.at(id).may_return = true;
  }
  for (const auto& [id, why] : lost)
    plan_without(state, id, loss_of(state.members.at(id), why), now, commands);
}

void lose_device(ClusterState& state, DeviceId device, const std::string& why, Time now,
                 ClusterCommands& commands) {
  Member& member = state.members.at(device);
  member.may_return = false;
  if (!member.online) return;
  note_death(state, device);
  take_offline(state, member, why, now, commands);
  plan_without(state, device, loss_of(member, why), now, commands);
}

}  // namespace shoal
