#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "coordinator/cluster_state.h"
#include "simulation/arrivals.h"
#include "simulation/capacity_report.h"
#include "simulation/failures.h"
#include "transport/sim_network.h"

namespace shoal {

// What a described cluster would do: the coordinator's and the workers' own state machines (planner,
// scheduler, recovery) over a simulated network, in simulated time; the arithmetic alone is replaced by the
// time it takes. The same scenario gives the same report, to the last bit of every figure.

struct CapacityDevice {
  std::string name;
  std::string kind;  // its class, for advice; "" for none
  std::uint64_t memory_bytes = 0;
  std::uint32_t num_threads = 1;
  ProfileReport profile;             // of the scenario's model: expected (expected_profile.h) or measured
  double disk_bytes_per_second = 0;  // 0: as fast as the network
  double idle_watts = 0;             // both 0: unknown
  double busy_watts = 0;
};

// One cluster: a hub and its devices.
struct CapacityPipeline {
  std::string name;
  std::vector<CapacityDevice> devices;
  std::optional<std::size_t> hub_beside;  // index of the device on whose machine the coordinator runs
  // One-way; an index past the devices is the hub on a machine of its own.
  std::function<SimLink(std::size_t from, std::size_t to)> link;
  ClusterSettings settings;
};

struct CapacityScenario {
  ServedModel model;
  std::vector<CapacityPipeline> pipelines;
  std::vector<PlannedRequest> arrivals;  // each goes to the pipeline that will answer it first
  std::vector<PlannedFailure> failures;  // device names are unique over all pipelines
  std::uint64_t seed = 1;
  double patience_seconds = 3600;  // of simulated time, beyond the last arrival, for what is still unanswered
};

// Errors: Unavailable or OutOfMemory, a pipeline that never serves, in its coordinator's words;
// InvalidArgument, a failure of a device that does not exist or takes a coordinator with it.
Result<CapacityReport> simulate_capacity(const CapacityScenario& scenario);

}  // namespace shoal
