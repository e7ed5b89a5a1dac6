#include "cli/emulation.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "lab/hosts.h"
#include "worker/emulated_speed.h"

namespace shoal {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr double kBusyShare = 0.75;  // of the cores: what is left keeps hops and the hub on time
constexpr std::uint16_t kClusterPort = 7171;

double rate_of(const DeviceConfig& device) {
  return device.device_class->figures.read_bytes_per_second * device.speed;
}

Result<std::vector<double>> speeds_of(const ClusterConfig& config, SpeedChoice speed, unsigned cores) {
  std::vector<double> speeds(config.devices.size(), speed.of_all);
  if (!speed.by_class) return speeds;
  double fastest = 0, sum = 0;
  for (const DeviceConfig& device : config.devices) {
    if (!device.device_class)
      return fail(
          ErrorCode::InvalidArgument,
          "the device " + device.name + " has no class: --emulate-speed classes needs one of every device");
    fastest = std::max(fastest, rate_of(device));
    sum += device.may_compute ? rate_of(device) : 0;
  }
  const double of_fastest = std::min(1.0, sum > 0 ? kBusyShare * cores * fastest / sum : 1.0);
  for (std::size_t i = 0; i < speeds.size(); ++i) {
    const double share = of_fastest * rate_of(config.devices[i]) / fastest;
    speeds[i] = std::clamp(share, EmulatedSpeed::kSlowest, 1.0);
  }
  return speeds;
}

std::string option_text(const LinkQuality& quality) {
  char text[160];
  std::snprintf(text, sizeof text, "delay=%.0fus jitter=%.0fus rate=%.0fkbit loss=%.6f",
                quality.latency_seconds * 1e6, quality.jitter_seconds * 1e6,
                quality.bytes_per_second * 8 / 1e3, quality.loss);
  return text;
}

std::string links_of(const ClusterConfig& config, const Emulation& emulation) {
  // By host: its device, or the coordinator alone.
  std::vector<const DeviceConfig*> at(static_cast<std::size_t>(emulation.num_hosts), nullptr);
  for (std::size_t i = 0; i < config.devices.size(); ++i)
    at[static_cast<std::size_t>(emulation.hosts[i])] = &config.devices[i];
  std::string text = "# links of " + config.path + "\n";
  for (std::size_t from = 0; from < at.size(); ++from) {
    for (std::size_t to = 0; to < at.size(); ++to) {
      if (from == to) continue;
      text += std::to_string(from) + " " + std::to_string(to) + " " +
              option_text(link_between(config, at[from], at[to])) + "\n";
    }
  }
  return text;
}

void place_on_hosts(ClusterConfig& config, Emulation& emulation) {
  const DeviceConfig* beside = coordinator_host(config, "");
  emulation.num_hosts = static_cast<int>(config.devices.size());
  for (int host = 0; host < emulation.num_hosts; ++host) emulation.hosts.push_back(host);
  emulation.coordinator_host =
      beside ? static_cast<int>(beside - config.devices.data()) : emulation.num_hosts++;
  emulation.links = links_of(config, emulation);
  config.address = host_address_of(emulation.coordinator_host);
  if (config.cluster_port == 0) config.cluster_port = kClusterPort;  // the host's ports are all free
  for (std::size_t i = 0; i < config.devices.size(); ++i)
    config.devices[i].address = host_address_of(emulation.hosts[i]);
}

}  // namespace

Result<SpeedChoice> parse_speed_choice(const std::string& text) {
  if (text == "classes") return SpeedChoice{.by_class = true};
  SpeedChoice choice;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), choice.of_all);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (is_number && choice.of_all >= EmulatedSpeed::kSlowest && choice.of_all <= 1) return choice;
  return fail(ErrorCode::InvalidArgument,
              "--emulate-speed \"" + text + "\" is neither a number from 0.01 to 1 nor \"classes\"");
}

Result<Emulation> emulate(ClusterConfig& config, SpeedChoice speed, bool with_links, unsigned cores) {
  Emulation emulation{.with_links = with_links};
  if (with_links && config.devices.size() >= static_cast<std::size_t>(kMostHosts)) {
    return fail(ErrorCode::InvalidArgument, config.path + " has " + std::to_string(config.devices.size()) +
                                                " devices; one machine emulates " +
                                                std::to_string(kMostHosts - 1));
  }
  Result<std::vector<double>> speeds = speeds_of(config, speed, cores);
  if (!speeds) return fail(speeds.error());
  emulation.speeds = *std::move(speeds);
  for (DeviceConfig& device : config.devices) {
    if (device.threads == 0) device.threads = 1;
    if (device.memory_bytes == 0 && device.device_class)
      device.memory_bytes = device.device_class->memory_bytes;
    if (!with_links) device.address = kLoopback;
  }
  config.http_address = kLoopback;
  if (with_links) {
    place_on_hosts(config, emulation);
  } else {
    config.address = kLoopback;
  }
  return emulation;
}

}  // namespace shoal
