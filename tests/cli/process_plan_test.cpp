#include "cli/process_plan.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace shoal {
namespace {

ClusterProcesses district() {
  ClusterProcesses cluster;
  cluster.program = "/usr/bin/shoal";
  cluster.model_path = "/models/m.gguf";
  cluster.model_id = "m";
  cluster.state_directory = "/var/shoal";
  cluster.config.address = "10.77.0.10";
  cluster.config.http_port = 8081;
  cluster.config.cluster_port = 7000;
  cluster.config.min_stages = 2;
  cluster.config.kv_type = "q8";
  cluster.config.devices = {
      {.name = "hub", .address = "10.77.0.10"},
      {.name = "cam", .address = "10.77.0.13", .memory_bytes = 1u << 29, .threads = 2, .kernels = "avx2"}};
  return cluster;
}

std::string value_after(const ChildCommand& command, const std::string& option) {
  const auto at = std::ranges::find(command.arguments, option);
  return at == command.arguments.end() || at + 1 == command.arguments.end() ? "" : *(at + 1);
}
bool has(const ChildCommand& command, const std::string& option) {
  return std::ranges::find(command.arguments, option) != command.arguments.end();
}

TEST_CASE("the coordinator is started with the config's settings and waits for every listed device") {
  const ChildCommand command = coordinator_process(district(), "");
  CHECK(command.arguments[0] == "/usr/bin/shoal");
  CHECK(command.arguments[1] == "coordinator");
  CHECK(value_after(command, "--model") == "/models/m.gguf");
  CHECK(value_after(command, "--port") == "8081");
  CHECK(value_after(command, "--address") == "10.77.0.10");
  CHECK(value_after(command, "--cluster-port") == "7000");
  CHECK(value_after(command, "--min-stages") == "2");
  CHECK(value_after(command, "--expect") == "2");
  CHECK(value_after(command, "--kv-type") == "q8");
  CHECK(value_after(command, "--state") == "/var/shoal/coordinator");
  CHECK(command.environment.empty());
}

TEST_CASE("secrets stand in no process's arguments") {
  const ChildCommand coordinator = coordinator_process(district(), "the key");
  CHECK_FALSE(has(coordinator, "the key"));
  CHECK(coordinator.environment[0] == std::pair<std::string, std::string>("SHOAL_API_KEY", "the key"));
  const ChildCommand worker = worker_process(district(), district().config.devices[0]);
  CHECK_FALSE(has(worker, "--token"));
  CHECK(value_after(worker, "--token-file") == "/var/shoal/coordinator/join.token");
}

TEST_CASE("a worker is started with its device's limits and a state of its own") {
  const ChildCommand limited = worker_process(district(), district().config.devices[1]);
  CHECK(value_after(limited, "--hub") == "10.77.0.10:7000");
  CHECK(value_after(limited, "--name") == "cam");
  CHECK(value_after(limited, "--listen") == "10.77.0.13");
  CHECK(value_after(limited, "--memory") == "536870912");
  CHECK(value_after(limited, "--threads") == "2");
  CHECK(value_after(limited, "--kernels") == "avx2");
  CHECK(value_after(limited, "--state") == "/var/shoal/workers/cam");
  const ChildCommand free = worker_process(district(), district().config.devices[0]);
  for (const char* option : {"--memory", "--threads", "--kernels"}) CHECK_FALSE(has(free, option));
}

TEST_CASE("the command for a device elsewhere can be typed there as it stands") {
  CHECK(join_command_line(district(), district().config.devices[1], "to$ken") ==
        "shoal-worker --hub 10.77.0.10:7000 --token 'to$ken' --name cam --listen 10.77.0.13 --memory "
        "536870912 --threads 2 --kernels avx2");
}

TEST_CASE("a hub on every interface is reached over loopback from its own machine") {
  ClusterProcesses cluster = district();
  cluster.config.address = "0.0.0.0";
  cluster.config.http_address = "0.0.0.0";
  CHECK(value_after(worker_process(cluster, cluster.config.devices[0]), "--hub") == "127.0.0.1:7000");
  CHECK(cluster.http_url() == "http://127.0.0.1:8081");
  cluster.config.http_address = "::1";
  CHECK(cluster.http_url() == "http://[::1]:8081");
}

}  // namespace
}  // namespace shoal
