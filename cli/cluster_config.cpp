#include "cli/cluster_config.h"

#include <algorithm>
#include <set>

#include "cli/cluster_bounds.h"
#include "cli/yaml_reader.h"

namespace shoal {
namespace {

void read_coordinator(YamlMap& map, ClusterConfig& config) {
  const auto bounded = [&](const char* key, auto& value, Bounds bounds) {
    map.integer(key, value, bounds.least, bounds.most);
  };
  map.text("http_address", config.http_address);
  map.integer("http_port", config.http_port, 0, 65535);
  map.text("api_key_file", config.api_key_file);
  map.text("address", config.address);
  bounded("cluster_port", config.cluster_port, kClusterPortBounds);
  bounded("context", config.context, kContextBounds);
  bounded("kv_positions", config.kv_positions, kKvPositionsBounds);
  map.one_of("kv_type", config.kv_type, {"f16", "q8"});
  bounded("max_sequences", config.max_sequences, kMaxSequencesBounds);
  bounded("min_stages", config.min_stages, kMinStagesBounds);
  map.one_of("objective", config.objective, {"latency", "throughput", "balanced"});
}

// Names become file names (a worker's state, its log) and stand in command lines.
bool is_plain_name(const std::string& name) {
  constexpr std::size_t kMaxLength = 64;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kMaxLength && name[0] != '-' && std::ranges::all_of(name, is_plain);
}

void read_device(YamlMap& map, ClusterConfig& config, std::set<std::string>& names) {
  DeviceConfig device;
  map.require("name");
  map.text("name", device.name);
  map.text("address", device.address);
  map.size("memory", device.memory_bytes);
  map.integer("threads", device.threads, 1, 1024);
  map.one_of("kernels", device.kernels, {"scalar", "avx2", "avxvnni", "avx512", "amx", "neon"});
  if (map.has("name") && !is_plain_name(device.name))
    map.fault("name", "a device's name is 1 to 64 letters, digits, - and _");
  if (device.name == "coordinator")
    map.fault("name", "\"coordinator\" is the hub's own name; call the device something else");
  if (map.has("name") && !names.insert(device.name).second)
    map.fault("name", "two devices have the name \"" + device.name + "\"");
  config.devices.push_back(std::move(device));
}

}  // namespace

Result<ClusterConfig> read_cluster_config(const std::string& path) {
  Result<YamlMap> opened = YamlMap::open(path);
  if (!opened) return fail(opened.error());
  YamlMap& map = *opened;
  ClusterConfig config;
  config.path = path;
  std::uint32_t version = 1;
  map.require("version");
  map.integer("version", version, 1, 1);
  map.require("models");
  map.texts("models", config.models);
  map.map("coordinator", [&](YamlMap& coordinator) { read_coordinator(coordinator, config); });
  std::set<std::string> names;
  map.require("devices");
  map.maps("devices", [&](YamlMap& device) { read_device(device, config, names); });
  if (Status finished = map.finish(); !finished) return fail(finished.error());
  if (config.models.empty()) map.fault("models", "at least one model is needed");
  if (config.devices.empty()) map.fault("devices", "at least one device is needed");
  if (config.devices.size() > kExpectBounds.most)
    map.fault("devices", "at most " + std::to_string(kExpectBounds.most) + " devices make a cluster");
  if (config.min_stages > config.devices.size()) {
    map.fault("coordinator", "min_stages is " + std::to_string(config.min_stages) + " but only " +
                                 std::to_string(config.devices.size()) + " devices are listed");
  }
  if (Status finished = map.finish(); !finished) return fail(finished.error());
  return config;
}

}  // namespace shoal
