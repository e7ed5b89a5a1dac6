#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/device_classes.h"
#include "simulation/arrivals.h"
#include "simulation/failures.h"

namespace shoal {

// A cluster described in YAML (cluster-configs/*.yaml). Read strictly: an unknown key, a wrong type or a
// number out of range is an error with file:line:column and the nearest right name.
struct DeviceConfig {
  std::string name;
  std::string address = "127.0.0.1";  // where its worker listens
  std::uint64_t memory_bytes = 0;     // 0: measured on the device; a simulation takes its class's
  std::uint32_t threads = 0;          // 0: every core
  std::string kernels;                // "" for the fastest
  std::string group;                  // "" for none
  std::optional<DeviceClass> device_class;
  double speed = 1;         // of its class
  bool may_compute = true;  // false: it joins and gets no layers
};

// How one direction of a link behaves.
struct LinkQuality {
  double latency_seconds = 200e-6;  // one way
  double bytes_per_second = 125e6;
  double jitter_seconds = 0;  // added, uniform in [0, jitter]
  double loss = 0;            // chance that a frame is lost
};

// What some links differ by. Later rules win; a rule leaves alone what it does not name.
struct LinkRule {
  std::string from;  // a device, a group, "coordinator", or a pattern with * for any characters
  std::string to;
  bool both_ways = true;
  std::optional<double> latency_seconds, bytes_per_second, jitter_seconds, loss;
};

struct LinksConfig {
  LinkQuality usual;
  std::vector<LinkRule> rules;
};

struct ClusterConfig {
  std::string path;
  std::vector<std::string> models;  // names or paths; the first is served
  // coordinator:
  std::string http_address = "127.0.0.1";
  std::uint16_t http_port = 8080;
  std::string api_key_file;           // "" for none
  std::string address = "127.0.0.1";  // where workers reach the hub
  std::uint16_t cluster_port = 7171;
  std::uint32_t context = 2048;
  std::uint32_t kv_positions = 8192;
  std::uint32_t max_sequences = 64;
  std::uint32_t min_stages = 1;
  std::string objective = "balanced";
  std::string beside;  // the device whose machine the coordinator runs on; "": the one with its address, or
                       // one of its own. {group} stands for a pipeline's group
  // devices:
  std::vector<DeviceConfig> devices;
  LinksConfig links;
  // What a simulation needs beside.
  bool pipeline_per_group = false;  // each group of devices is a cluster of its own, with its coordinator
  ArrivalPlan arrivals;
  FailurePlan failures;
};

Result<ClusterConfig> read_cluster_config(const std::string& path);

// The names of the groups, in order of their first device; one "" where devices have none.
std::vector<std::string> groups_of(const ClusterConfig& config);

// The device beside which the coordinator of this group runs; nullptr: on a machine of its own. `group`
// counts where pipeline_per_group is set.
const DeviceConfig* coordinator_host(const ClusterConfig& config, const std::string& group);

// The link between two devices of the config; nullptr stands for a coordinator on a machine of its own.
LinkQuality link_between(const ClusterConfig& config, const DeviceConfig* from, const DeviceConfig* to);

}  // namespace shoal
