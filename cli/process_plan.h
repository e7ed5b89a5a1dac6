#pragma once

#include <cstdint>
#include <string>

#include "cli/child_process.h"
#include "cli/cluster_config.h"

namespace shoal {

// What `shoal up` runs, as command lines. Pure.
struct ClusterProcesses {
  ClusterConfig config;  // with the command line's overrides; ports chosen
  std::string program;   // this `shoal`
  std::string model_path;
  std::string model_id;  // "" for the file's name
  std::string state_directory;

  std::string coordinator_state() const { return state_directory + "/coordinator"; }
  std::string token_file() const { return coordinator_state() + "/join.token"; }
  std::string log_directory() const { return state_directory + "/logs"; }
  // Where this machine's own commands reach the hub.
  std::string http_url() const;
};

ChildCommand coordinator_process(const ClusterProcesses& cluster, const std::string& api_key);
ChildCommand worker_process(const ClusterProcesses& cluster, const DeviceConfig& device);

// What someone types on another device to join.
std::string join_command_line(const ClusterProcesses& cluster, const DeviceConfig& device,
                              const std::string& token);

}  // namespace shoal
