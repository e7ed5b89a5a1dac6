#include <algorithm>

#include "base/log.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

constexpr Duration kProfilePatience = std::chrono::seconds(60);
constexpr Duration kProbePatience = std::chrono::seconds(8);
constexpr Duration kSettle = std::chrono::milliseconds(300);  // devices that come together are measured together

// One device profiles at a time: workers on one machine would measure each other.
void profile_next(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.profiling && now - state.profiling_since > kProfilePatience) {
    Member& member = state.members.at(*state.profiling);
    member.excluded = "it did not answer the request to measure itself";
    log_warn("profile_missing", {{"device", member.id}});
    state.profiling.reset();
  }
  if (state.profiling || !state.probing.empty()) return;
  for (auto& [id, member] : state.members) {
    if (!member.online || member.profile || !member.excluded.empty()) continue;
    state.profiling = id;
    state.profiling_since = now;
    return send_control(id, profile_request(state.model), commands);
  }
}

bool needs_links(const Member& member) {
  return member.online && member.profile && member.excluded.empty() && !member.links_measured;
}

void start_probing(ClusterState& state, Time now, ClusterCommands& commands) {
  std::vector<DeviceId> online;
  ProbeLinks probe;
  for (const auto& [id, member] : state.members) {
    if (!member.online || !member.profile || !member.excluded.empty()) continue;
    online.push_back(id);
    probe.peers.push_back({id, member.hello.inbox, member.public_key});
  }
  for (const DeviceId id : online) {
    ProbeLinks mine = probe;
    std::erase_if(mine.peers, [&](const PeerAddress& peer) { return peer.device == id; });
    send_control(id, std::move(mine), commands);
    state.probing.insert(id);
  }
  state.probing_since = now;
  state.probe.start(online, kHub);
}

void finish_probing(ClusterState& state) {
  for (auto& [id, member] : state.members) {
    if (member.online && member.profile && !member.links_measured && (member.from_hub || !member.links.empty())) {
      member.links_measured = true;
    }
  }
  state.probing.clear();
  state.membership_changed = true;
}

void continue_hub_probe(ClusterState& state, Time now, ClusterCommands& commands) {
  if (now - state.probing_since < kSettle) return;
  if (std::optional<LinkProbe::Outgoing> out = state.probe.next(now)) {
    commands.push_back(SendMessage{out->to, Lane::Data, std::move(out->ping)});
  }
  if (const std::optional<LinkReport> report = state.probe.take_report()) {
    for (const LinkMeasurement& link : report->links) {
      if (const auto member = state.members.find(link.to); member != state.members.end()) member->second.from_hub = link;
    }
  }
}

}  // namespace

void measure(ClusterState& state, Time now, ClusterCommands& commands) {
  if (now - state.membership_changed_at < kSettle) return;
  profile_next(state, now, commands);
  if (state.profiling) return;
  if (state.probing.empty() && !state.probe.running()) {
    if (std::ranges::any_of(state.members, [](const auto& m) { return needs_links(m.second); })) start_probing(state, now, commands);
    return;
  }
  continue_hub_probe(state, now, commands);
  const bool all_done = state.probing.empty() && !state.probe.running();
  if (all_done || now - state.probing_since > kProbePatience) finish_probing(state);
}

void on_profile_report(ClusterState& state, DeviceId from, ProfileReport report, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (state.profiling == from) state.profiling.reset();
  if (found == state.members.end() || report.model != state.model.hash) return;
  Member& member = found->second;
  const std::vector<std::uint32_t> wanted = representative_units(state.model);
  const bool complete = std::ranges::all_of(wanted, [&](std::uint32_t unit) {
    return std::ranges::any_of(report.units, [&](const LayerProfile& p) { return p.unit == unit && p.seconds_batch1 > 0; });
  });
  if (!complete) {
    member.excluded = "its measurements are incomplete";
    log_warn("profile_incomplete", {{"device", from}});
    return;
  }
  RememberProfile remember{member.public_key, member.hello.kernels, member.hello.num_threads, report};
  std::erase_if(member.known_profiles, [&](const RememberProfile& known) { return known.report.model == report.model; });
  member.known_profiles.push_back(remember);
  member.profile = std::move(report);
  commands.push_back(std::move(remember));
  log_info("device_measured", {{"device", from}, {"read_bytes_per_second", member.profile->read_bytes_per_second}});
}

void on_link_report(ClusterState& state, DeviceId from, const LinkReport& report) {
  const auto found = state.members.find(from);
  if (found == state.members.end()) return;
  for (const LinkMeasurement& link : report.links) found->second.links[link.to] = link;
  state.probing.erase(from);
}

void on_hub_pong(ClusterState& state, DeviceId from, const Pong& pong, Time now, ClusterCommands& commands) {
  state.probe.on_pong(from, pong, now);
  continue_hub_probe(state, now, commands);
}

}  // namespace shoal
