#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "cli/cluster_bounds.h"
#include "cli/config_parts.h"

namespace shoal {
namespace {

// Names become file names (a worker's state, its log) and stand in command lines.
bool is_plain_name(const std::string& name) {
  constexpr std::size_t kMaxLength = 64;
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= kMaxLength && name[0] != '-' && std::ranges::all_of(name, is_plain);
}

// "{group}" becomes the group, "{n}" the number, "{n+10}" ten more. Nothing: braces with something else.
std::optional<std::string> fill_pattern(const std::string& pattern, std::uint32_t n,
                                        const std::string& group) {
  std::string text;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t open = std::min(pattern.find('{', at), pattern.size());
    text += pattern.substr(at, open - at);
    if (open == pattern.size()) break;
    const std::size_t close = pattern.find('}', open);
    if (close == std::string::npos) return std::nullopt;
    const std::string inside = pattern.substr(open + 1, close - open - 1);
    std::uint32_t added = 0;
    if (inside == "group") {
      text += group;
    } else if (inside == "n") {
      text += std::to_string(n);
    } else {
      const auto [end, error] = std::from_chars(inside.data() + std::min<std::size_t>(2, inside.size()),
                                                inside.data() + inside.size(), added);
      const bool is_sum =
          inside.starts_with("n+") && error == std::errc() && end == inside.data() + inside.size();
      if (!is_sum) return std::nullopt;
      text += std::to_string(n + added);
    }
    at = close + 1;
  }
  return text;
}

class DeviceReader {
 public:
  DeviceReader(std::string classes_path, ClusterConfig& config)
      : classes_path_(std::move(classes_path)), config_(config) {}

  void read(YamlMap& map) {
    DeviceConfig device;
    std::vector<std::string> groups;
    std::uint32_t count = 1;
    std::string class_name;
    map.require("name");
    map.text("name", device.name);
    map.text("address", device.address);
    map.size("memory", device.memory_bytes);
    map.integer("threads", device.threads, 1, 1024);
    map.one_of("kernels", device.kernels, {"scalar", "avx2", "avxvnni", "avx512", "amx", "neon"});
    map.text("class", class_name);
    map.real("speed", device.speed, 0.001, 1000);
    map.flag("may_compute", device.may_compute);
    map.integer("count", count, 1, kExpectBounds.most);
    map.text("group", device.group);
    map.texts("groups", groups);
    if (map.has("group") && map.has("groups"))
      map.fault("groups", "a device has \"group\" or \"groups\", not both");
    if (map.has("speed") && class_name.empty())
      map.fault("speed", "\"speed\" is relative to a class: name one");
    if (!class_name.empty()) device.device_class = find_class(map, class_name);
    expand(map, device, count, groups);
  }

 private:
  // The file is read when the first device names a class.
  std::optional<DeviceClass> find_class(YamlMap& map, const std::string& name) {
    if (!classes_) {
      Result<std::vector<DeviceClass>> read = read_device_classes(classes_path_);
      if (!read) map.fault("class", "its class is looked for in " + read.error().message());
      classes_ = read ? *std::move(read) : std::vector<DeviceClass>();
    }
    const auto found = std::ranges::find(*classes_, name, &DeviceClass::name);
    if (found != classes_->end()) return *found;
    std::vector<std::string> known;
    for (const DeviceClass& kind : *classes_) known.push_back(kind.name);
    map.fault_unknown("class", name, known);
    return std::nullopt;
  }

  void expand(YamlMap& map, const DeviceConfig& pattern, std::uint32_t count,
              std::vector<std::string> groups) {
    if (groups.empty()) groups.push_back(pattern.group);
    for (const std::string& group : groups) {
      if (!group.empty() && !is_plain_name(group))
        map.fault("name", "a group's name is 1 to 64 letters, digits, - and _");
      for (std::uint32_t n = 1; n <= count && config_.devices.size() <= kExpectBounds.most; ++n)
        add(map, pattern, n, group);
    }
  }

  void add(YamlMap& map, DeviceConfig device, std::uint32_t n, const std::string& group) {
    const std::optional<std::string> name = fill_pattern(device.name, n, group);
    const std::optional<std::string> address = fill_pattern(device.address, n, group);
    if (!name) map.fault("name", "between braces stands n, n+ and a number, or group");
    if (!address) map.fault("address", "between braces stands n, n+ and a number, or group");
    device.name = name.value_or("");
    device.address = address.value_or("");
    device.group = group;
    if (map.has("name") && !is_plain_name(device.name))
      map.fault("name", "a device's name is 1 to 64 letters, digits, - and _");
    if (device.name == "coordinator")
      map.fault("name", "\"coordinator\" is the hub's own name; call the device something else");
    if (map.has("name") && !names_.insert(device.name).second) {
      const std::string hint = n > 1 ? ": put {n} into it" : "";
      map.fault("name", "two devices have the name \"" + device.name + "\"" + hint);
    }
    config_.devices.push_back(std::move(device));
  }

  std::string classes_path_;
  ClusterConfig& config_;
  std::optional<std::vector<DeviceClass>> classes_;
  std::set<std::string> names_;
};

}  // namespace

void read_devices(YamlMap& map, const std::string& classes_path, ClusterConfig& config) {
  const std::string file = classes_path.empty() ? "device-classes.yaml" : classes_path;
  DeviceReader reader(beside_config(config.path, file), config);
  map.maps("devices", [&](YamlMap& device) { reader.read(device); });
}

}  // namespace shoal
