#include "cli/process_plan.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "lab/hosts.h"

namespace shoal {
namespace {

constexpr const char* kLoopback = "127.0.0.1";
constexpr const char* kEveryInterface = "0.0.0.0";

std::string in_url(const std::string& host) {
  return host.find(':') == std::string::npos ? host : "[" + host + "]";
}

std::string join_endpoint(const ClusterConfig& config) {
  const std::string& host = config.address == kEveryInterface ? kLoopback : config.address;
  return in_url(host) + ":" + std::to_string(config.cluster_port);
}

void add(std::vector<std::string>& arguments, const char* option, const std::string& value) {
  arguments.emplace_back(option);
  arguments.push_back(value);
}
std::string number_text(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", number);
  return text;
}
void add(std::vector<std::string>& arguments, const char* option, std::uint64_t value) {
  add(arguments, option, std::to_string(value));
}

// Begins a program's command line, on a test host where there are some.
std::vector<std::string> begin_on(const ClusterProcesses& cluster, int host) {
  if (!cluster.has_links()) return {cluster.program};
  return {"ip", "netns", "exec", host_name_of(host), cluster.program};
}

std::string linklab_of(const ClusterProcesses& cluster) {
  return (std::filesystem::path(cluster.program).parent_path() / "linklab").string();
}

// The limits a device was given, the same on this machine and elsewhere.
void add_limits(std::vector<std::string>& arguments, const DeviceConfig& device) {
  add(arguments, "--name", device.name);
  add(arguments, "--listen", device.address);
  if (device.memory_bytes != 0) add(arguments, "--memory", device.memory_bytes);
  if (device.threads != 0) add(arguments, "--threads", device.threads);
  if (!device.kernels.empty()) add(arguments, "--kernels", device.kernels);
}

}  // namespace

std::string ClusterProcesses::http_url() const {
  const std::string& host = config.http_address == kEveryInterface ? kLoopback : config.http_address;
  return "http://" + in_url(host) + ":" + std::to_string(config.http_port);
}

ChildCommand links_process(const ClusterProcesses& cluster) {
  ChildCommand command;
  command.arguments = {linklab_of(cluster), "up", std::to_string(cluster.emulation->num_hosts),
                       "links=" + cluster.links_file()};
  return command;
}

ChildCommand door_process(const ClusterProcesses& cluster) {
  ChildCommand command;
  command.arguments = {linklab_of(cluster), "door", std::to_string(cluster.config.http_port),
                       std::to_string(cluster.emulation->coordinator_host)};
  return command;
}

ChildCommand coordinator_process(const ClusterProcesses& cluster, const std::string& api_key) {
  const ClusterConfig& config = cluster.config;
  ChildCommand command;
  std::vector<std::string>& arguments = command.arguments;
  arguments = begin_on(cluster, cluster.emulation ? cluster.emulation->coordinator_host : 0);
  arguments.emplace_back("coordinator");
  add(arguments, "--model", cluster.model_path);
  if (!cluster.model_id.empty()) add(arguments, "--model-id", cluster.model_id);
  add(arguments, "--state", cluster.coordinator_state());
  add(arguments, "--http-address", config.http_address);
  add(arguments, "--port", config.http_port);
  add(arguments, "--address", config.address);
  add(arguments, "--cluster-port", config.cluster_port);
  add(arguments, "--min-stages", config.min_stages);
  add(arguments, "--expect",
      static_cast<std::uint64_t>(std::ranges::count(config.devices, true, &DeviceConfig::may_compute)));
  add(arguments, "--context", config.context);
  add(arguments, "--kv-positions", config.kv_positions);
  add(arguments, "--max-sequences", config.max_sequences);
  add(arguments, "--objective", config.objective);
  for (const DeviceConfig& device : config.devices) {
    if (!device.may_compute) add(arguments, "--ban", device.name);
  }
  arguments.emplace_back("--quiet");  // the join token stays out of the log
  if (!api_key.empty())
    command.environment.emplace_back("SHOAL_API_KEY", api_key);  // and the key out of the process list
  return command;
}

ChildCommand worker_process(const ClusterProcesses& cluster, const DeviceConfig& device) {
  ChildCommand command;
  std::vector<std::string>& arguments = command.arguments;
  const std::size_t index =
      static_cast<std::size_t>(std::ranges::find(cluster.config.devices, device.name, &DeviceConfig::name) -
                               cluster.config.devices.begin());
  arguments = begin_on(cluster, cluster.has_links() ? cluster.emulation->hosts[index] : 0);
  arguments.emplace_back("worker");
  add(arguments, "--hub", join_endpoint(cluster.config));
  add(arguments, "--token-file", cluster.token_file());
  add(arguments, "--state", cluster.state_directory + "/workers/" + device.name);
  add_limits(arguments, device);
  if (cluster.emulation && cluster.emulation->speeds[index] < 1)
    add(arguments, "--emulate-speed", number_text(cluster.emulation->speeds[index]));
  return command;
}

std::string join_command_line(const ClusterProcesses& cluster, const DeviceConfig& device,
                              const std::string& token) {
  std::vector<std::string> arguments = {"shoal-worker"};
  add(arguments, "--hub", in_url(cluster.config.address) + ":" + std::to_string(cluster.config.cluster_port));
  add(arguments, "--token", "'" + token + "'");
  add_limits(arguments, device);
  std::string line;
  for (const std::string& argument : arguments) line += (line.empty() ? "" : " ") + argument;
  return line;
}

}  // namespace shoal
