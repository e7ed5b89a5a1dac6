#include "cli/cluster_config.h"

#include <algorithm>
#include <filesystem>

#include "cli/cluster_bounds.h"
#include "cli/config_parts.h"

namespace shoal {
namespace {

constexpr const char* kAnyHost = "0.0.0.0";

std::size_t smallest_pipeline(const ClusterConfig& config) {
  if (!config.pipeline_per_group) return config.devices.size();
  std::size_t least = config.devices.size();
  for (const std::string& group : groups_of(config)) {
    const auto size = std::ranges::count(config.devices, group, &DeviceConfig::group);
    least = std::min(least, static_cast<std::size_t>(size));
  }
  return least;
}

// After the devices.
void read_coordinator(YamlMap& map, ClusterConfig& config) {
  const auto bounded = [&](const char* key, auto& value, Bounds bounds) {
    map.integer(key, value, bounds.least, bounds.most);
  };
  map.text("http_address", config.http_address);
  bounded("http_port", config.http_port, kPortBounds);
  map.text("api_key_file", config.api_key_file);
  map.text("address", config.address);
  bounded("cluster_port", config.cluster_port, kClusterPortBounds);
  bounded("context", config.context, kContextBounds);
  bounded("kv_positions", config.kv_positions, kKvPositionsBounds);
  bounded("max_sequences", config.max_sequences, kMaxSequencesBounds);
  bounded("min_stages", config.min_stages, kMinStagesBounds);
  map.one_of("objective", config.objective, {"latency", "throughput", "balanced"});
  const std::size_t least = smallest_pipeline(config);
  if (!config.devices.empty() && config.min_stages > least) {
    map.fault("min_stages", "\"min_stages\" is " + std::to_string(config.min_stages) +
                                ", more than the devices listed: " + std::to_string(least));
  }
  map.text("beside", config.beside);
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  if (const std::size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), with);
  return text;
}

const DeviceConfig* find_device(const ClusterConfig& config, const std::string& name) {
  const auto found = std::ranges::find(config.devices, name, &DeviceConfig::name);
  return found == config.devices.end() ? nullptr : &*found;
}

// What no part of the file alone shows.
void check_together(YamlMap& map, const ClusterConfig& config) {
  if (config.models.empty()) map.fault("models", "at least one model is needed");
  if (config.devices.empty()) map.fault("devices", "at least one device is needed");
  if (config.devices.size() > kExpectBounds.most)
    map.fault("devices", "at most " + std::to_string(kExpectBounds.most) + " devices make a cluster");
  for (const std::string& group :
       config.pipeline_per_group ? groups_of(config) : std::vector<std::string>{""}) {
    const std::string host = replaced(config.beside, "{group}", group);
    if (!host.empty() && !find_device(config, host))
      map.fault("coordinator", "the coordinator is beside \"" + host + "\", and no device has that name");
  }
}

}  // namespace

std::string beside_config(const std::string& config_path, const std::string& file) {
  return (std::filesystem::path(config_path).parent_path() / file).string();
}

Result<ClusterConfig> read_cluster_config(const std::string& path) {
  Result<YamlMap> opened = YamlMap::open(path, "a cluster config is a mapping (version, models, ...)");
  if (!opened) return fail(opened.error());
  YamlMap& map = *opened;
  ClusterConfig config;
  config.path = path;
  std::uint32_t version = 1;
  std::string classes, pipelines;
  map.require("version");
  map.integer("version", version, 1, 1);
  map.require("models");
  map.texts("models", config.models);
  map.text("classes", classes);
  map.require("devices");
  read_devices(map, classes, config);
  map.one_of("pipelines", pipelines, {"one", "per-group"});
  config.pipeline_per_group = pipelines == "per-group";
  map.map("coordinator", [&](YamlMap& coordinator) { read_coordinator(coordinator, config); });
  map.map("links", [&](YamlMap& links) { read_links(links, config); });
  map.map("arrivals", [&](YamlMap& arrivals) { read_arrivals(arrivals, config); });
  map.map("failures", [&](YamlMap& failures) { read_failures(failures, config); });
  if (Status finished = map.finish(); !finished) return fail(finished.error());
  check_together(map, config);
  if (Status finished = map.finish(); !finished) return fail(finished.error());
  return config;
}

std::vector<std::string> groups_of(const ClusterConfig& config) {
  std::vector<std::string> groups;
  for (const DeviceConfig& device : config.devices) {
    if (std::ranges::find(groups, device.group) == groups.end()) groups.push_back(device.group);
  }
  return groups;
}

const DeviceConfig* coordinator_host(const ClusterConfig& config, const std::string& group) {
  if (!config.beside.empty()) return find_device(config, replaced(config.beside, "{group}", group));
  const bool is_somewhere = config.address != "127.0.0.1" && config.address != kAnyHost;
  const auto same_address = std::ranges::find(config.devices, config.address, &DeviceConfig::address);
  return is_somewhere && same_address != config.devices.end() ? &*same_address : nullptr;
}

}  // namespace shoal
