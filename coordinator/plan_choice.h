#pragma once

#include <string>
#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// Which plan is the best, and whether it is worth an interruption. Pure.

// What the settings' objective judges plans by: seconds.
double objective_of(const ClusterState& state, const Prediction& prediction);
std::uint32_t distinct_devices(const Plan& plan);

// The best plan that does without broken links. min_stages gives way where it stands between the devices and
// any service. Errors: as choose_plan's; Unavailable, no plan does without a broken link.
Result<PlanVersion> choose_working_plan(const ClusterState& state, const std::vector<DeviceId>& devices,
                                        std::uint32_t min_stages);
// The same by choice, with plans that serve already: min_stages binds as far as there are devices.
Result<PlanVersion> choose_better_plan(const ClusterState& state, const std::vector<DeviceId>& devices);

// Why `better` is worth an interruption after devices joined; empty if it is not.
std::string advantage(const ClusterState& state, const PlanVersion& better, std::uint32_t num_devices);

}  // namespace shoal
