#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/child_process.h"
#include "cli/cluster_config.h"
#include "cli/emulation.h"

namespace shoal {

// What `shoal up` runs, as command lines. Pure.
struct ClusterProcesses {
  ClusterConfig config;  // with the command line's overrides; ports chosen
  std::string program;   // this `shoal`
  std::string model_path;
  std::string model_id;  // "" for the file's name
  std::string state_directory;
  std::optional<Emulation> emulation;  // all devices are processes here

  bool has_links() const { return emulation && emulation->with_links; }
  std::string links_file() const { return state_directory + "/links"; }
  std::string coordinator_state() const { return state_directory + "/coordinator"; }
  std::string token_file() const { return coordinator_state() + "/join.token"; }
  std::string log_directory() const { return state_directory + "/logs"; }
  // Where this machine's own commands reach the hub.
  std::string http_url() const;
};

// With links: the test hosts, and the way in to the coordinator's HTTP port.
ChildCommand links_process(const ClusterProcesses& cluster);
ChildCommand door_process(const ClusterProcesses& cluster);
ChildCommand coordinator_process(const ClusterProcesses& cluster, const std::string& api_key);
ChildCommand worker_process(const ClusterProcesses& cluster, const DeviceConfig& device);

// What someone types on another device to join.
std::string join_command_line(const ClusterProcesses& cluster, const DeviceConfig& device,
                              const std::string& token);

}  // namespace shoal
