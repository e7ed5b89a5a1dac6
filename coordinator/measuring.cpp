#include <algorithm>

#include "base/log.h"
#include "coordinator/broken_links.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

constexpr Duration kProfilePatience = std::chrono::seconds(60);
constexpr std::uint32_t kMostProfileAttempts = 3;
constexpr Duration kProbePatience = std::chrono::seconds(8);
constexpr Duration kProbeAgain = std::chrono::seconds(30);  // what a round did not reach
constexpr Duration kSettle =
    std::chrono::milliseconds(300);  // devices that come together are measured together

// No complete answer: others have their turn first, and in the end the device does without stages.
void give_up_profile(Member& member, const char* why) {
  log_warn("profile_missing", {{"device", member.id}, {"why", why}, {"attempts", member.profile_attempts}});
  if (member.profile_attempts >= kMostProfileAttempts) member.excluded = why;
}

bool takes_part(const Member& member) { return member.online && member.profile && member.excluded.empty(); }

bool wants_probing(const ClusterState& state, Time now) {
  if (state.probe_wanted || (!state.broken_links.empty() && now >= state.probe_again_at)) return true;
  return std::ranges::any_of(state.members, [&](const auto& m) {
    return takes_part(m.second) && !m.second.links_measured && now >= m.second.links_again_at;
  });
}

// One device profiles at a time: workers on one machine would measure each other. Who failed to is asked
// again once nobody else waits for measurements.
void profile_next(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.profiling && now - state.profiling_since > kProfilePatience) {
    give_up_profile(state.members.at(*state.profiling), "it did not answer the request to measure itself");
    state.profiling.reset();
  }
  if (state.profiling || state.probing_links) return;
  Member* next = nullptr;
  for (auto& [id, member] : state.members) {
    if (!member.online || member.profile || !member.excluded.empty()) continue;
    if (!next || member.profile_attempts < next->profile_attempts) next = &member;
  }
  if (!next || (next->profile_attempts > 0 && wants_probing(state, now))) return;
  ++next->profile_attempts;
  state.profiling = next->id;
  state.profiling_since = now;
  ask_for_profile(state, next->id, commands);
}

void start_probing(ClusterState& state, Time now, ClusterCommands& commands) {
  std::vector<DeviceId> online;
  ProbeLinks probe;
  for (const auto& [id, member] : state.members) {
    if (!takes_part(member)) continue;
    online.push_back(id);
    probe.peers.push_back({id, member.hello.inbox, member.public_key});
  }
  for (const DeviceId id : online) {
    ProbeLinks mine = probe;
    std::erase_if(mine.peers, [&](const PeerAddress& peer) { return peer.device == id; });
    send_control(id, std::move(mine), commands);
    state.probing.insert(id);
  }
  state.probing_links = true;
  state.probe_judges = std::exchange(state.probe_wanted, false);
  state.probing_since = now;
  state.probe_again_at = now + kProbeAgain;
  state.probe.start(online, kHub);
}

// A measured link works. One without an answer is only poor (a large ping may be too slow for it), unless
// steps get lost.
void judge_links(ClusterState& state, DeviceId from, const LinkReport& report) {
  for (const LinkMeasurement& link : report.links) {
    if (mark_working(state, from, link.to)) state.membership_changed = true;
  }
  if (!state.probe_judges) return;
  const auto measured = [&](DeviceId to) {
    return std::ranges::any_of(report.links, [&](const LinkMeasurement& link) { return link.to == to; });
  };
  if (from != kHub && !measured(kHub)) mark_broken(state, from, kHub);
  for (const auto& [id, member] : state.members) {
    if (id != from && takes_part(member) && member.links_measured && !measured(id))
      mark_broken(state, from, id);
  }
}

void finish_probing(ClusterState& state, Time now) {
  for (auto& [id, member] : state.members) {
    if (!takes_part(member)) continue;
    member.links_measured = member.links_measured || member.from_hub.has_value();
    if (!member.links_measured) member.links_again_at = now + kProbeAgain;
  }
  state.probing.clear();
  state.probing_links = false;
  state.membership_changed = true;
}

void continue_hub_probe(ClusterState& state, Time now, ClusterCommands& commands) {
  if (now - state.probing_since < kSettle) return;
  if (std::optional<LinkProbe::Outgoing> out = state.probe.next(now)) {
    commands.push_back(SendMessage{out->to, Lane::Data, std::move(out->ping)});
  }
  if (const std::optional<LinkReport> report = state.probe.take_report()) {
    for (const LinkMeasurement& link : report->links) {
      if (const auto member = state.members.find(link.to); member != state.members.end())
        member->second.from_hub = link;
    }
    judge_links(state, kHub, *report);
  }
}

}  // namespace

void measure(ClusterState& state, Time now, ClusterCommands& commands) {
  if (now - state.membership_changed_at < kSettle) return;
  profile_next(state, now, commands);
  if (measures_newcomer(state)) return;
  if (!state.probing_links) {
    if (wants_probing(state, now)) start_probing(state, now, commands);
    return;
  }
  continue_hub_probe(state, now, commands);
  const bool all_done = state.probing.empty() && !state.probe.running();
  if (all_done || now - state.probing_since > kProbePatience) finish_probing(state, now);
}

bool measures_newcomer(const ClusterState& state) {
  return state.profiling && state.members.at(*state.profiling).profile_attempts <= 1;
}

void ask_for_profile(ClusterState& state, DeviceId device, ClusterCommands& commands) {
  send_control(device, profile_request(state.model), commands);
}

void on_profile_report(ClusterState& state, DeviceId from, ProfileReport report, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (state.profiling == from) state.profiling.reset();
  if (found == state.members.end() || report.model != state.model.hash) return;
  Member& member = found->second;
  const std::vector<std::uint32_t> wanted = representative_units(state.model);
  const bool complete = std::ranges::all_of(wanted, [&](std::uint32_t unit) {
    return std::ranges::any_of(report.units,
                               [&](const LayerProfile& p) { return p.unit == unit && p.seconds_batch1 > 0; });
  });
  if (!complete) return give_up_profile(member, "its measurements are incomplete");
  RememberProfile remember{member.public_key, member.hello.kernels, member.hello.num_threads, report};
  std::erase_if(member.known_profiles,
                [&](const RememberProfile& known) { return known.report.model == report.model; });
  member.known_profiles.push_back(remember);
  member.profile = std::move(report);
  commands.push_back(std::move(remember));
  log_info("device_measured",
           {{"device", from}, {"read_bytes_per_second", member.profile->read_bytes_per_second}});
}

void on_link_report(ClusterState& state, DeviceId from, const LinkReport& report) {
  const auto found = state.members.find(from);
  if (found == state.members.end()) return;
  found->second.links.clear();
  for (const LinkMeasurement& link : report.links) found->second.links[link.to] = link;
  if (state.probing.erase(from) > 0) judge_links(state, from, report);
}

void on_hub_pong(ClusterState& state, DeviceId from, const Pong& pong, Time now, ClusterCommands& commands) {
  state.probe.on_pong(from, pong, now);
  continue_hub_probe(state, now, commands);
}

}  // namespace shoal
