#pragma once

#include <string>
#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// The parts of cluster_state, each in a file of its own. All pure.

using ClusterCommands = std::vector<ClusterCommand>;

inline void send_control(DeviceId to, Message message, ClusterCommands& commands) {
  commands.push_back(SendMessage{to, Lane::Control, std::move(message)});
}

// ---- membership.cpp: who is here
// ------------------------------------------------------------------------------------------------
void on_join_request(ClusterState& state, const JoinReceived& join, ClusterCommands& commands);
void on_hello(ClusterState& state, DeviceId from, Hello hello, Time now, ClusterCommands& commands);
void on_beat(ClusterState& state, DeviceId from, Beat beat, Time now, ClusterCommands& commands);
void on_peer_down(ClusterState& state, const PeerDown& down, Time now, ClusterCommands& commands);
void on_peer_unreachable(ClusterState& state, DeviceId from, const PeerUnreachable& unreachable);
void on_malformed(ClusterState& state, const Malformed& malformed, Time now, ClusterCommands& commands);
// Before anything is judged by `now`: when the hub itself stood still (a slow disk, a starved CPU), what its
// devices said meanwhile lies unread. That time is nobody's silence.
void forgive_own_sleep(ClusterState& state, Time now);
// Silent too long, or its compute stands still: lost.
void watch_members(ClusterState& state, Time now, ClusterCommands& commands);
void lose_device(ClusterState& state, DeviceId device, const std::string& why, Time now,
                 ClusterCommands& commands);

// ---- measuring.cpp: profiles and links
// ------------------------------------------------------------------------------------------
void measure(ClusterState& state, Time now, ClusterCommands& commands);
// A device measures itself for the first time: plans wait for it. They do not wait for one that failed to.
bool measures_newcomer(const ClusterState& state);
// Asks a device, again if need be, to measure itself.
void ask_for_profile(ClusterState& state, DeviceId device, ClusterCommands& commands);
void on_profile_report(ClusterState& state, DeviceId from, ProfileReport report, Time now,
                       ClusterCommands& commands);
void on_link_report(ClusterState& state, DeviceId from, const LinkReport& report, ClusterCommands& commands);
// No new step may leave: pings need the links for themselves.
bool holds_steps(const ClusterState& state);
void on_hub_pong(ClusterState& state, DeviceId from, const Pong& pong, Time now);

// ---- plan_lifecycle.cpp: from a plan to a serving pipeline, and on
// -------------------------------------------------------------- A first plan, or a better one after devices
// came; nothing while one is being prepared.
void consider_plan(ClusterState& state, Time now, ClusterCommands& commands);
// A device left: repairs the plan that serves, drops or repairs the one in preparation, or neither.
void plan_without(ClusterState& state, DeviceId device, const std::string& why, Time now,
                  ClusterCommands& commands);
// The plan that served cannot go on: repair it over the survivors.
void recover(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands);
// The plan in preparation serves from now on.
void activate(ClusterState& state, Time now, ClusterCommands& commands);
// It is given up: what serves goes on, and another look follows.
void drop_pending(ClusterState& state);
// Tells the plan to everybody who is online; it serves once all that have a part are ready.
void prepare(ClusterState& state, PlanVersion version, std::string why, Time now, ClusterCommands& commands);
// The same plan under a new epoch: every sequence is rebuilt from its tokens.
void restart_epoch(ClusterState& state, const std::string& why, Time now, ClusterCommands& commands);

// ---- plan_loading.cpp: what workers say of the plan that they load
// -----------------------------------------------------------------
void on_stage_status(ClusterState& state, DeviceId from, const StageStatus& status, Time now,
                     ClusterCommands& commands);
// Workers that are to load the plan in preparation and are not heard of: told again, and left out at last.
void watch_pending(ClusterState& state, Time now, ClusterCommands& commands);

// ---- stepping.cpp: steps out, candidates in
// ------------------------------------------------------------------------------------
void pump(ClusterState& state, Time now, ClusterCommands& commands);
void on_candidates(ClusterState& state, DeviceId from, CandidatesFrame frame, Time now,
                   ClusterCommands& commands);
void on_step_refused(ClusterState& state, DeviceId from, const StepRefused& refused, Time now,
                     ClusterCommands& commands);
void submit(ClusterState& state, SubmitRequest request, Time now, ClusterCommands& commands);

}  // namespace shoal
