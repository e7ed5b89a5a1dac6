#pragma once

#include "cli/cluster_config.h"
#include "cli/yaml_reader.h"

namespace shoal {

// The parts of a cluster config's reading, each in a file of its own. Faults are left in the map.

// config_devices.cpp. `classes_path` as the config names it, "" for device-classes.yaml beside the config.
void read_devices(YamlMap& map, const std::string& classes_path, ClusterConfig& config);

// config_links.cpp; after the devices.
void read_links(YamlMap& map, ClusterConfig& config);

// config_traffic.cpp; after the devices.
void read_arrivals(YamlMap& map, ClusterConfig& config);
void read_failures(YamlMap& map, ClusterConfig& config);

// Where a file that a config names lies: relative to the config itself.
std::string beside_config(const std::string& config_path, const std::string& file);

}  // namespace shoal
