#include "coordinator/learning.h"

#include <algorithm>

#include "coordinator/plan_problem.h"

namespace shoal {
namespace {

constexpr Duration kLinkInterval = std::chrono::seconds(1);
// Every step costs something that no unit does. Beside an embedding it is nearly all, and says nothing of how
// fast the device would run layers.
constexpr double kFixedSeconds = 1e-4;

DeviceId end_of_hop(const PlanVersion& version, std::size_t stage) {
  return stage < version.plan.stages.size() ? version.device_of(stage) : kHub;
}

// The device that hop i leaves; kHub for the first.
DeviceId begin_of_hop(const PlanVersion& version, std::size_t hop) {
  return hop == 0 ? kHub : version.device_of(hop - 1);
}

bool is_of(const PlanVersion& version, const StageWork& work, DeviceId device) {
  return work.stage < version.plan.stages.size() && version.device_of(work.stage) == device;
}

}  // namespace

void learn_from_beat(ClusterState& state, Member& member, const Beat& beat, Time now) {
  const bool of_plan = state.active && state.active_is_whole && beat.epoch == state.active->epoch;
  if (!of_plan || !member.profile || beat.work.empty()) return;
  const DeviceSpeed profiled = profiled_speed(state, member);
  // A device's stages are looked at together: one factor scales its whole profile.
  std::array<double, kNumRowClasses> measured{};
  std::array<double, kNumRowClasses> expected{};
  std::array<double, kNumRowClasses> steps{};
  for (const StageWork& work : beat.work) {
    if (!is_of(*state.active, work, member.id)) continue;
    state.record.add_work(work, now);
    const Range units = state.active->plan.stages[work.stage].units;
    measured[work.row_class] += work.seconds;
    expected[work.row_class] += work.steps * compute_seconds(profiled, units, mean_visit(work));
    steps[work.row_class] += work.steps;
    if (work.idle_steps > 0) member.hand_over.add(work.hand_over_seconds / work.idle_steps);
  }
  for (std::uint32_t c = 0; c < kNumRowClasses; ++c) {
    if (steps[c] == 0) continue;
    const double fixed = steps[c] * kFixedSeconds;
    member.correction.add(c, (measured[c] + fixed) / (expected[c] + fixed));
  }
}

std::vector<double> probed_hops(const ClusterState& state, const PlanVersion& version, double rows) {
  std::vector<double> hops;
  const std::size_t num_stages = version.plan.stages.size();
  for (std::size_t i = 0; i <= num_stages; ++i) {
    const DeviceId from = begin_of_hop(version, i);
    const DeviceId to = end_of_hop(version, i);
    const auto bytes = static_cast<double>(
        i == 0            ? version.problem.input_bytes
        : i == num_stages ? version.problem.result_bytes
                          : version.problem.units[version.plan.stages[i].units.begin - 1].output_bytes);
    const LinkProfile link = probed_link(state, from, to);
    hops.push_back(from == to ? -1 : link.latency + rows * bytes / link.bytes_per_second);
  }
  return hops;
}

void learn_links(ClusterState& state, Time now) {
  const bool serves = state.active && state.active_is_whole;
  if (!serves || now - state.links_learned_at < kLinkInterval) return;
  state.links_learned_at = now;
  if (now - state.scheduler.last_active() > kLinkInterval) return;  // nothing new
  const std::vector<double> probed = probed_hops(state, *state.active, 1);
  for (std::size_t i = 0; i < probed.size(); ++i) {
    const auto measured = state.record.hop(i, row_class_of(1), probed);
    if (!measured || probed[i] < 0) continue;
    state.link_extras[{begin_of_hop(*state.active, i), end_of_hop(*state.active, i)}].add(measured->seconds -
                                                                                          probed[i]);
  }
}

}  // namespace shoal
