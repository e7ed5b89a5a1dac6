#include <algorithm>

#include "base/log.h"
#include "coordinator/broken_links.h"
#include "coordinator/cluster_parts.h"
#include "coordinator/plan_problem.h"

namespace shoal {
namespace {

constexpr Duration kProfilePatience = std::chrono::seconds(60);
constexpr std::uint32_t kMostProfileAttempts = 3;
constexpr Duration kProbePatience = std::chrono::seconds(8);
constexpr Duration kProbeAgain = std::chrono::seconds(30);  // what a round did not reach
constexpr Duration kSettle =
    std::chrono::milliseconds(300);  // devices that come together are measured together
constexpr Duration kProbePerDevice = std::chrono::milliseconds(600);  // of a round's patience
// Pings and steps keep out of each other's way. A newcomer's first measurement waits for an idle moment; then
// one is made: no step leaves until it is over.
constexpr Duration kIdlePatience = std::chrono::seconds(10);
constexpr Duration kDrainPatience = std::chrono::seconds(1);  // for the steps that are under way
constexpr Duration kLongestHold = std::chrono::seconds(4);
constexpr Duration kQuietBeforeRefresh = std::chrono::seconds(2);
constexpr Duration kLinksStayFresh = std::chrono::minutes(10);
// No steps tell how fast a device is that no plan uses. It is measured again, in a quiet moment if there is
// one, less and less often while nothing changes.
constexpr Duration kLongestMeasurePause = std::chrono::hours(1);
constexpr double kChangedFactor = 1.15;

// No complete answer: others have their turn first, and in the end the device does without stages.
void give_up_profile(Member& member, const char* why) {
  log_warn("profile_missing", {{"device", member.id}, {"why", why}, {"attempts", member.profile_attempts}});
  if (member.profile_attempts >= kMostProfileAttempts) member.excluded = why;
}

bool takes_part(const Member& member) { return member.online && member.profile && member.excluded.empty(); }

enum class Need : std::uint8_t { None, Refresh, Newcomer, Urgent };

Need need_of_probing(const ClusterState& state, Time now) {
  if (state.probe_wanted || (!state.broken_links.empty() && now >= state.probe_again_at)) return Need::Urgent;
  const bool has_newcomer = std::ranges::any_of(state.members, [&](const auto& m) {
    return takes_part(m.second) && !m.second.links_measured && now >= m.second.links_again_at;
  });
  if (has_newcomer) return Need::Newcomer;
  return state.active && state.active_is_whole && now >= state.links_fresh_until ? Need::Refresh : Need::None;
}

bool is_quiet(const ClusterState& state, Time now) {
  return !state.scheduler.is_busy() && now - state.scheduler.last_active() >= kQuietBeforeRefresh;
}

// Waits for an idle moment, and makes one in the end.
bool has_moment_for_newcomer(ClusterState& state, Time now) {
  if (!state.links_wanted) state.links_wanted = now;
  if (!state.scheduler.is_busy()) return true;
  if (now - *state.links_wanted < kIdlePatience) return false;
  if (!state.holding) state.holding = now;
  return now - *state.holding >= kDrainPatience;  // what is still under way is lost, and sent again later
}

bool may_probe(ClusterState& state, Need need, Time now) {
  switch (need) {
    case Need::None:
      return false;
    case Need::Urgent:
      return true;
    case Need::Newcomer:
      return has_moment_for_newcomer(state, now);
    case Need::Refresh:
      return !state.profiling && is_quiet(state, now);
  }
  return false;
}

bool has_changed(const ProfileReport& before, const ProfileReport& now) {
  const auto one_row = [](const ProfileReport& report) {
    double total = 0;
    for (const LayerProfile& unit : report.units) total += unit.seconds_batch1;
    return total;
  };
  const double factor = one_row(now) / std::max(one_row(before), 1e-12);
  return factor > kChangedFactor || factor < 1 / kChangedFactor;
}

bool is_due_again(const ClusterState& state, const Member& member, Time now) {
  if (!takes_part(member) || !state.active || !state.active_is_whole || now < member.measure_again_at)
    return false;
  if (state.active->uses(member.id) || (state.pending && state.pending->uses(member.id))) return false;
  const bool heat_changed = member.beat.heat.throttled != member.was_throttled;
  return heat_changed || is_quiet(state, now) || now - member.measure_again_at >= member.measure_pause;
}

void measure_unused_again(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.profiling) return;
  for (auto& [id, member] : state.members) {
    if (!is_due_again(state, member, now)) continue;
    member.measure_pause = std::min(2 * member.measure_pause, kLongestMeasurePause);
    member.measure_again_at = now + member.measure_pause;
    state.profiling = id;
    state.profiling_since = now;
    return ask_for_profile(state, id, commands);
  }
}

// One device profiles at a time: workers on one machine would measure each other. Who failed to is asked
// again once nobody else waits for measurements.
void profile_next(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.profiling && now - state.profiling_since > kProfilePatience) {
    Member& silent = state.members.at(*state.profiling);
    if (!silent.profile) give_up_profile(silent, "it did not answer the request to measure itself");
    state.profiling.reset();
  }
  if (state.profiling || state.probing_links) return;
  Member* next = nullptr;
  for (auto& [id, member] : state.members) {
    if (!member.online || member.profile || !member.excluded.empty()) continue;
    if (!next || member.profile_attempts < next->profile_attempts) next = &member;
  }
  if (!next || (next->profile_attempts > 0 && need_of_probing(state, now) >= Need::Newcomer)) return;
  ++next->profile_attempts;
  state.profiling = next->id;
  state.profiling_since = now;
  ask_for_profile(state, next->id, commands);
}

void start_probing(ClusterState& state, Need need, Time now, ClusterCommands& commands) {
  std::vector<DeviceId> online;
  ProbeLinks probe;
  probe.decode_bytes = decode_frame_bytes(state.model.config);
  probe.prefill_bytes = prefill_frame_bytes(state.model.config, state.settings.scheduler.prefill_chunk);
  probe.urgent = need == Need::Urgent;
  for (const auto& [id, member] : state.members) {
    if (!takes_part(member)) continue;
    online.push_back(id);
    probe.peers.push_back({id, member.hello.inbox, member.public_key});
  }
  for (const DeviceId id : online) {
    ProbeLinks mine = probe;  // peers of its own
    std::erase_if(mine.peers, [&](const PeerAddress& peer) { return peer.device == id; });
    send_control(id, std::move(mine), commands);
    state.probing.insert(id);
  }
  state.probing_links = true;
  state.probe_is_urgent = probe.urgent;
  state.probe_is_refresh = need == Need::Refresh;
  state.links_wanted.reset();
  state.probe_judges = std::exchange(state.probe_wanted, false);
  state.probing_since = now;
  state.probe_again_at = now + kProbeAgain;
  state.probe.start(online, kHub, {probe.decode_bytes, probe.prefill_bytes});
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
  log_info("links_measured", {{"unanswered", state.probing.size()},
                              {"seconds", seconds(now - state.probing_since)},
                              {"again", state.probe_is_refresh}});
  state.probing.clear();
  state.probing_links = false;
  state.holding.reset();
  state.links_fresh_until = now + kLinksStayFresh;
  // Links that only changed a little are no reason to look for another plan at once:
  // coordinator/replanning.h.
  if (!state.probe_is_refresh) state.membership_changed = true;
}

void keep_links(ClusterState& state, const Member* from, const LinkReport& report,
                ClusterCommands& commands) {
  RememberLinks remember = links_to_remember(state, from, report);
  if (remember.links.empty()) return;
  restore_links(state, remember);
  commands.push_back(std::move(remember));
}

void continue_hub_probe(ClusterState& state, Time now, ClusterCommands& commands) {
  if (now - state.probing_since < kSettle) return;
  const bool steps_flow = state.scheduler.is_busy() && !state.holding;
  if (steps_flow && !state.probe_is_urgent) {
    state.probe.disturb();
  } else if (std::optional<LinkProbe::Outgoing> out = state.probe.next(now)) {
    commands.push_back(SendMessage{out->to, Lane::Data, std::move(out->ping)});
  }
  if (const std::optional<LinkReport> report = state.probe.take_report()) {
    for (const LinkMeasurement& link : report->links) {
      const auto member = state.members.find(link.to);
      if (member == state.members.end()) continue;
      member->second.from_hub = link;
      state.link_extras.erase({kHub, link.to});
    }
    keep_links(state, nullptr, *report, commands);
    judge_links(state, kHub, *report);
  }
}

}  // namespace

void measure(ClusterState& state, Time now, ClusterCommands& commands) {
  if (state.holding && now - *state.holding > kLongestHold) state.holding.reset();
  if (now - state.membership_changed_at < kSettle) return;
  profile_next(state, now, commands);
  if (measures_newcomer(state)) return;
  if (!state.probing_links) {
    measure_unused_again(state, now, commands);
    const Need need = need_of_probing(state, now);
    if (may_probe(state, need, now)) start_probing(state, need, now, commands);
    return;
  }
  continue_hub_probe(state, now, commands);
  const bool all_done = state.probing.empty() && !state.probe.running();
  const Duration patience = std::max<Duration>(kProbePatience, kProbePerDevice * std::ssize(state.members));
  if (all_done || now - state.probing_since > patience) finish_probing(state, now);
}

bool measures_newcomer(const ClusterState& state) {
  if (!state.profiling) return false;
  const Member& member = state.members.at(*state.profiling);
  return !member.profile && member.profile_attempts <= 1;
}

bool holds_steps(const ClusterState& state) { return state.holding.has_value(); }

void ask_for_profile(ClusterState& state, DeviceId device, ClusterCommands& commands) {
  send_control(device, profile_request(state.model), commands);
}

void on_profile_report(ClusterState& state, DeviceId from, ProfileReport report, Time now,
                       ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (state.profiling == from) state.profiling.reset();
  if (found == state.members.end() || report.model != state.model.hash) return;
  Member& member = found->second;
  const std::vector<std::uint32_t> wanted = representative_units(state.model);
  const bool complete = std::ranges::all_of(wanted, [&](std::uint32_t unit) {
    return std::ranges::any_of(report.units,
                               [&](const LayerProfile& p) { return p.unit == unit && p.seconds_batch1 > 0; });
  });
  if (!complete && member.profile) return;  // the one from before stands
  if (!complete) return give_up_profile(member, "its measurements are incomplete");
  RememberProfile remember{member.public_key, member.hello.profile_key, report};
  std::erase_if(member.known_profiles,
                [&](const RememberProfile& known) { return known.report.model == report.model; });
  member.known_profiles.push_back(remember);
  if (member.profile && has_changed(*member.profile, report)) member.measure_pause = kLeastMeasurePause;
  member.measure_again_at = now + member.measure_pause;
  member.profile = std::move(report);
  member.links_measured = member.links_measured && recall_links(state, member);  // others came meanwhile
  member.correction.clear();
  member.was_throttled = member.beat.heat.throttled;
  commands.push_back(std::move(remember));
  log_info("device_measured",
           {{"device", from}, {"read_bytes_per_second", member.profile->read_bytes_per_second}});
}

// Of a link that was not reached this time, what was measured before stands.
void on_link_report(ClusterState& state, DeviceId from, const LinkReport& report, ClusterCommands& commands) {
  const auto found = state.members.find(from);
  if (found == state.members.end()) return;
  for (const LinkMeasurement& link : report.links) {
    found->second.links[link.to] = link;
    state.link_extras.erase({from, link.to});
  }
  keep_links(state, &found->second, report, commands);
  if (state.probing.erase(from) > 0) judge_links(state, from, report);
}

// The next ping goes with a tick: as steps, after a pause.
void on_hub_pong(ClusterState& state, DeviceId from, const Pong& pong, Time now) {
  state.probe.on_pong(from, pong, now);
}

}  // namespace shoal
