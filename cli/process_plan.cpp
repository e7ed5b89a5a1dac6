#include "cli/process_plan.h"

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
void add(std::vector<std::string>& arguments, const char* option, std::uint64_t value) {
  add(arguments, option, std::to_string(value));
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

ChildCommand coordinator_process(const ClusterProcesses& cluster, const std::string& api_key) {
  const ClusterConfig& config = cluster.config;
  ChildCommand command;
  std::vector<std::string>& arguments = command.arguments;
  arguments = {cluster.program, "coordinator"};
  add(arguments, "--model", cluster.model_path);
  if (!cluster.model_id.empty()) add(arguments, "--model-id", cluster.model_id);
  add(arguments, "--state", cluster.coordinator_state());
  add(arguments, "--http-address", config.http_address);
  add(arguments, "--port", config.http_port);
  add(arguments, "--address", config.address);
  add(arguments, "--cluster-port", config.cluster_port);
  add(arguments, "--min-stages", config.min_stages);
  add(arguments, "--expect", config.devices.size());
  add(arguments, "--context", config.context);
  add(arguments, "--kv-positions", config.kv_positions);
  add(arguments, "--kv-type", config.kv_type);
  add(arguments, "--max-sequences", config.max_sequences);
  add(arguments, "--objective", config.objective);
  arguments.emplace_back("--quiet");  // the join token stays out of the log
  if (!api_key.empty())
    command.environment.emplace_back("SHOAL_API_KEY", api_key);  // and the key out of the process list
  return command;
}

ChildCommand worker_process(const ClusterProcesses& cluster, const DeviceConfig& device) {
  ChildCommand command;
  std::vector<std::string>& arguments = command.arguments;
  arguments = {cluster.program, "worker"};
  add(arguments, "--hub", join_endpoint(cluster.config));
  add(arguments, "--token-file", cluster.token_file());
  add(arguments, "--state", cluster.state_directory + "/workers/" + device.name);
  add_limits(arguments, device);
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
