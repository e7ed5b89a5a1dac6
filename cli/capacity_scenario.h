#pragma once

#include <map>
#include <string>

#include "cli/cluster_config.h"
#include "simulation/capacity.h"

namespace shoal {

// What devices were measured to do, by their name: from a hub's state directory, where it remembers.
using MeasuredProfiles = std::map<std::string, ProfileReport>;
// NotFound where there is no hub's memory in `state_directory`. Profiles of other models are left out.
Result<MeasuredProfiles> read_measured_profiles(const std::string& state_directory, const ServedModel& model);

// The model to simulate: a file that is here (its tensors are read), else the shape that goes by this name.
Result<ServedModel> read_simulated_model(const std::string& name_or_path);

// A config, which outlives it, as a scenario. A device's figures are its measured profile where there is one,
// else its class's. InvalidArgument: a device with neither, or without memory, and what to do.
Result<CapacityScenario> scenario_of(const ClusterConfig& config, ServedModel model,
                                     const MeasuredProfiles& measured);

}  // namespace shoal
