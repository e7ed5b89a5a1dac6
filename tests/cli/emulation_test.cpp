#include "cli/emulation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>

#include "cli/process_plan.h"

namespace shoal {
namespace {

DeviceClass kind_of(double read_gb) {
  return {.name = "k",
          .memory_bytes = 3ull << 30,
          .threads = 4,
          .figures = {read_gb * 1e9, 1e10, 1e8},
          .power = {}};
}

// A hub beside the first device; a fast, a middling and a slow one.
ClusterConfig street() {
  ClusterConfig config;
  config.path = "street.yaml";
  config.address = "10.0.0.1";
  config.http_address = "10.0.0.1";
  config.devices = {{.name = "hub", .address = "10.0.0.1", .device_class = kind_of(20)},
                    {.name = "gate",
                     .address = "10.0.0.2",
                     .memory_bytes = 1u << 29,
                     .threads = 2,
                     .device_class = kind_of(10)},
                    {.name = "cam", .address = "10.0.0.3", .device_class = kind_of(10), .speed = 0.2}};
  config.links.usual = {.latency_seconds = 0.001, .bytes_per_second = 12.5e6};
  config.links.rules = {
      {.from = "cam", .to = "*", .both_ways = false, .latency_seconds = 0.004, .loss = 0.01}};
  return config;
}

Emulation emulated(ClusterConfig& config, SpeedChoice speed, bool with_links, unsigned cores = 2) {
  Result<Emulation> emulation = emulate(config, speed, with_links, cores);
  REQUIRE_MESSAGE(emulation, (emulation ? "" : emulation.error().message()));
  return *std::move(emulation);
}

bool has_in_order(const ChildCommand& command, const std::vector<std::string>& part) {
  return std::ranges::search(command.arguments, part).begin() != command.arguments.end();
}

}  // namespace

TEST_CASE("with links every device gets a host and an address there, and the coordinator its device's") {
  ClusterConfig config = street();
  const Emulation emulation = emulated(config, {}, true);
  CHECK(emulation.num_hosts == 3);
  CHECK(emulation.coordinator_host == 0);
  CHECK(config.address == "10.77.0.10");
  CHECK(config.http_address == "127.0.0.1");
  CHECK(config.devices[2].address == "10.77.0.12");
  CHECK(config.devices[0].memory_bytes == 3ull << 30);
  CHECK(config.devices[1].memory_bytes == 1u << 29);
  CHECK(config.devices[0].threads == 1);
  CHECK(config.devices[1].threads == 2);
  CHECK(emulation.links.find("\n0 1 delay=1000us jitter=0us rate=100000kbit loss=0.000000\n") !=
        std::string::npos);
  CHECK(emulation.links.find("\n2 0 delay=4000us jitter=0us rate=100000kbit loss=0.010000\n") !=
        std::string::npos);
  CHECK(emulation.links.find("\n0 2 delay=1000us") != std::string::npos);
  CHECK(std::ranges::count(emulation.links, '\n') == 1 + 6);
}

TEST_CASE("a coordinator that is beside no device has a host of its own") {
  ClusterConfig config = street();
  config.address = "127.0.0.1";
  const Emulation emulation = emulated(config, {}, true);
  CHECK(emulation.num_hosts == 4);
  CHECK(emulation.coordinator_host == 3);
  CHECK(config.address == "10.77.0.13");
}

TEST_CASE("without links all is on loopback") {
  ClusterConfig config = street();
  const Emulation emulation = emulated(config, {.of_all = 0.5}, false);
  CHECK(config.address == "127.0.0.1");
  for (const DeviceConfig& device : config.devices) CHECK(device.address == "127.0.0.1");
  CHECK(emulation.speeds == std::vector<double>{0.5, 0.5, 0.5});
}

TEST_CASE("speeds by class are in the classes' ratio and leave the machine time for hops") {
  for (const unsigned cores : {1u, 2u, 16u}) {
    CAPTURE(cores);
    ClusterConfig config = street();
    const std::vector<double> speeds = emulated(config, {.by_class = true}, false, cores).speeds;
    CHECK(speeds[1] == doctest::Approx(speeds[0] / 2));
    CHECK(speeds[2] == doctest::Approx(speeds[0] / 10));
    CHECK(speeds[0] <= 1);
    CHECK(std::accumulate(speeds.begin(), speeds.end(), 0.0) <= 0.75 * cores + 1e-9);
  }
  ClusterConfig classless = street();
  classless.devices[1].device_class.reset();
  CHECK(emulate(classless, {.by_class = true}, false, 2).error().message().find("gate has no class") !=
        std::string::npos);
}

TEST_CASE("a speed is a number or the word classes") {
  CHECK(parse_speed_choice("0.25")->of_all == 0.25);
  CHECK(parse_speed_choice("1")->of_all == 1);
  CHECK(parse_speed_choice("classes")->by_class);
  for (const char* text : {"", "0", "0.001", "2", "-1", "fast", "0.5x", "nan"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_speed_choice(text));
  }
}

TEST_CASE("more devices than one machine has addresses for is an error with the number") {
  ClusterConfig config;
  for (int i = 0; i < 200; ++i) config.devices.push_back({.name = "d" + std::to_string(i)});
  CHECK(emulate(config, {}, true, 2).error().message().find("one machine emulates 199") != std::string::npos);
  CHECK(emulate(config, {}, false, 2));
}

TEST_CASE("emulated processes run on their hosts, as slow as their devices") {
  ClusterProcesses cluster;
  cluster.program = "/opt/bin/shoal";
  cluster.state_directory = "/var/shoal";
  cluster.config = street();
  cluster.config.http_port = 8081;
  cluster.emulation = emulated(cluster.config, {.by_class = true}, true);
  CHECK(links_process(cluster).arguments ==
        std::vector<std::string>{"/opt/bin/linklab", "up", "3", "links=/var/shoal/links"});
  CHECK(door_process(cluster).arguments == std::vector<std::string>{"/opt/bin/linklab", "door", "8081", "0"});
  const std::vector<std::string> on_host_0 = {"ip",    "netns",          "exec",
                                              "lab-0", "/opt/bin/shoal", "coordinator"};
  CHECK(has_in_order(coordinator_process(cluster, ""), on_host_0));
  const ChildCommand camera = worker_process(cluster, cluster.config.devices[2]);
  CHECK(has_in_order(camera, {"ip", "netns", "exec", "lab-2", "/opt/bin/shoal", "worker"}));
  CHECK(has_in_order(camera, {"--hub", "10.77.0.10:7171"}));
  CHECK(has_in_order(camera, {"--listen", "10.77.0.12"}));
  CHECK(std::ranges::find(camera.arguments, "--emulate-speed") != camera.arguments.end());
  cluster.config = street();
  cluster.emulation = emulated(cluster.config, {}, false);
  const ChildCommand plain = worker_process(cluster, cluster.config.devices[2]);
  CHECK(plain.arguments[0] == "/opt/bin/shoal");
  CHECK(std::ranges::find(plain.arguments, "--emulate-speed") == plain.arguments.end());
}

TEST_CASE("a device that may not compute is banned, and not waited for") {
  ClusterProcesses cluster;
  cluster.program = "shoal";
  cluster.config = street();
  cluster.config.devices[2].may_compute = false;
  const ChildCommand coordinator = coordinator_process(cluster, "");
  CHECK(has_in_order(coordinator, {"--ban", "cam"}));
  CHECK(has_in_order(coordinator, {"--expect", "2"}));
}

}  // namespace shoal
