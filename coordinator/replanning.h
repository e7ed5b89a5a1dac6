#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace shoal {

struct ClusterState;
struct PlanVersion;

// When what steps really take says that another plan would be better, and so much better that changing pays.
// A change of membership needs no such proof: coordinator/plan_lifecycle.cpp acts on it at once. Pure.

struct ReplanSettings {
  bool enabled = true;
  double worthwhile_gain =
      0.15;  // of a token's time, what moving costs taken off; of plans after a join, too
  Duration least_pause = std::chrono::seconds(30);    // since the last change of plan, whatever its reason
  Duration longest_pause = std::chrono::minutes(30);  // to which it doubles while changes follow each other
  Duration horizon = std::chrono::minutes(10);        // of service over which moving must have paid
};

struct Replanning {
  Duration pause{};                // until the next change at least; zero: least_pause
  Time plan_since{};               // when the plan that serves began to
  std::optional<Time> changed_at;  // the last change that measurements asked for
  std::uint64_t changes = 0;       // of these
  Time looked_at{};                // when the planner was asked last
  double looked_at_seconds = 0;    // what the plan cost then
  double looked_at_capacity = 0;   // and what all devices together could do
  bool found_better = false;       // at that look: the next one decides
  std::string verdict;             // of that look, in words
};

// A better plan for the same devices as they are measured now, with its reason, if it is time to change to
// it. The planner is asked when measurements have moved since it was asked last; two looks must agree.
std::optional<PlanVersion> reconsider(ClusterState& state, const std::vector<DeviceId>& devices, Time now);

// A plan began to serve.
void note_plan_change(ClusterState& state, bool asked_by_measurements, Time now);

// What changing to a plan costs, in seconds of service: bytes that devices do not have yet come over the
// hub's links (while the old plan serves: counted in full all the same), and what running sequences hold in
// the pipeline is computed again.
double migration_seconds(const ClusterState& state, const PlanVersion& to);

// The share of a token's time that is gained, less the share of the horizon that moving takes.
double net_gain(double seconds_now, double seconds_then, double migration_seconds, Duration horizon);

}  // namespace shoal
