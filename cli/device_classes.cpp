#include "cli/device_classes.h"

#include <set>

#include "cli/yaml_reader.h"

namespace shoal {
namespace {

constexpr double kGiga = 1e9;
constexpr double kMega = 1e6;
constexpr double kMostWatts = 1e4;

void read_class(YamlMap& map, std::vector<DeviceClass>& classes, std::set<std::string>& names) {
  DeviceClass kind;
  double read = 0, int8 = 0, disk = 0, idle = 0, busy = 0;
  for (const char* key : {"name", "memory", "threads", "read_gb_per_s", "int8_gmac_per_s", "disk_mb_per_s"})
    map.require(key);
  map.text("name", kind.name);
  map.size("memory", kind.memory_bytes);
  map.integer("threads", kind.threads, 1, 1024);
  map.real("read_gb_per_s", read, 0.001, 10000);
  map.real("int8_gmac_per_s", int8, 0.001, 1e6);
  map.real("disk_mb_per_s", disk, 0.1, 1e5);
  map.real("watts_idle", idle, 0, kMostWatts);
  map.real("watts_busy", busy, 0, kMostWatts);
  kind.figures = {read * kGiga, int8 * kGiga, disk * kMega};
  if (map.has("watts_idle") != map.has("watts_busy"))
    map.fault("name", "watts_idle and watts_busy stand together or not at all");
  if (map.has("watts_busy")) kind.power = DevicePower{idle, busy};
  if (busy < idle) map.fault("watts_busy", "a busy device takes no less than an idle one");
  if (map.has("name") && !names.insert(kind.name).second)
    map.fault("name", "two classes have the name \"" + kind.name + "\"");
  classes.push_back(std::move(kind));
}

}  // namespace

Result<std::vector<DeviceClass>> read_device_classes(const std::string& path) {
  Result<YamlMap> map = YamlMap::open(path, "device classes are a mapping (version, classes)");
  if (!map) return fail(map.error());
  std::uint32_t version = 1;
  map->require("version");
  map->integer("version", version, 1, 1);
  std::vector<DeviceClass> classes;
  std::set<std::string> names;
  map->require("classes");
  map->maps("classes", [&](YamlMap& entry) { read_class(entry, classes, names); });
  if (Status finished = map->finish(); !finished) return fail(finished.error());
  return classes;
}

}  // namespace shoal
