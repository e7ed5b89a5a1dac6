#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace shoal {

// A cluster described in YAML (cluster-configs/*.yaml). Read strictly: an unknown key, a wrong type or a
// number out of range is an error with file:line:column and the nearest right name.
struct DeviceConfig {
  std::string name;
  std::string address = "127.0.0.1";  // where its worker listens
  std::uint64_t memory_bytes = 0;     // 0: measured on the device
  std::uint32_t threads = 0;          // 0: every core
  std::string kernels;                // "" for the fastest
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
  std::string kv_type = "f16";
  std::uint32_t max_sequences = 64;
  std::uint32_t min_stages = 1;
  std::string objective = "balanced";
  // devices:
  std::vector<DeviceConfig> devices;
};

Result<ClusterConfig> read_cluster_config(const std::string& path);

}  // namespace shoal
