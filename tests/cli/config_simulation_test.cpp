// What a cluster config says of classes, groups, links, arrivals and failures.
#include <doctest/doctest.h>

#include <filesystem>

#include "cli/cluster_config.h"
#include "tests/cli/scratch.h"

namespace shoal {
namespace {

constexpr const char* kClasses =
    "version: 1\n"
    "classes:\n"
    "  - {name: small, memory: 1G, threads: 4, read_gb_per_s: 4, int8_gmac_per_s: 10, disk_mb_per_s: 40}\n"
    "  - {name: big, memory: 4G, threads: 8, read_gb_per_s: 20, int8_gmac_per_s: 80, disk_mb_per_s: 400,\n"
    "     watts_idle: 5, watts_busy: 15.5}\n";

const std::string kHead = "version: 1\nmodels: [m]\n";

struct Written {
  ScratchFolder scratch;
  std::string path;
  explicit Written(const std::string& yaml) : path(scratch.write("c.yaml", yaml)) {
    scratch.write("device-classes.yaml", kClasses);
    scratch.write("trace.csv", "# seconds,prompt,answer\n0.5,10,20\n\n1.5,30,1\n");
    scratch.write("bad.csv", "0.5,10,20\n0.4,10,20\n");
  }
};

ClusterConfig config_of(const std::string& yaml) {
  const Written written(yaml);
  Result<ClusterConfig> config = read_cluster_config(written.path);
  REQUIRE_MESSAGE(config, (config ? "" : config.error().message()));
  return *std::move(config);
}

// The error's words after the file's path.
std::string fault_of(const std::string& yaml) {
  const Written written(yaml);
  const Result<ClusterConfig> config = read_cluster_config(written.path);
  if (config) return "no fault";
  CHECK(config.error().message().starts_with(written.path + ":"));
  return config.error().message().substr(written.path.size() + 1);
}

const DeviceConfig* named(const ClusterConfig& config, const std::string& name) {
  for (const DeviceConfig& device : config.devices) {
    if (device.name == name) return &device;
  }
  return nullptr;
}

const std::string kStreet = kHead +
                            "devices:\n"
                            "  - {name: hub, class: big}\n"
                            "  - {name: 'gate-{n}', count: 2, group: gates, class: big, speed: 0.5}\n"
                            "  - {name: 'cam-{n}', count: 3, group: cameras, class: small, memory: 512M}\n";

}  // namespace

TEST_CASE("a device has its class's figures, and its own words win") {
  const ClusterConfig config = config_of(kStreet);
  REQUIRE(config.devices.size() == 6);
  const DeviceConfig& hub = config.devices[0];
  REQUIRE(hub.device_class);
  CHECK(hub.device_class->memory_bytes == 4ull << 30);
  CHECK(hub.device_class->threads == 8);
  CHECK(hub.device_class->figures.read_bytes_per_second == doctest::Approx(20e9));
  CHECK(hub.device_class->figures.int8_macs_per_second == doctest::Approx(80e9));
  CHECK(hub.device_class->figures.disk_bytes_per_second == doctest::Approx(400e6));
  REQUIRE(hub.device_class->power);
  CHECK(hub.device_class->power->busy_watts == doctest::Approx(15.5));
  CHECK(hub.speed == 1);
  CHECK(hub.memory_bytes == 0);
  CHECK(named(config, "gate-2")->speed == 0.5);
  CHECK(named(config, "cam-3")->memory_bytes == 512u << 20);
  CHECK_FALSE(named(config, "cam-3")->device_class->power);
}

TEST_CASE("a pattern makes many devices, in every group") {
  const ClusterConfig config = config_of(
      kHead +
      "devices:\n"
      "  - {name: '{group}-hub', groups: [old-town, harbour]}\n"
      "  - {name: '{group}-cam-{n}', address: '10.1.0.{n+20}', count: 2, groups: [old-town, harbour]}\n");
  std::string names;
  for (const DeviceConfig& device : config.devices) names += device.name + " ";
  CHECK(names == "old-town-hub harbour-hub old-town-cam-1 old-town-cam-2 harbour-cam-1 harbour-cam-2 ");
  CHECK(named(config, "harbour-cam-2")->address == "10.1.0.22");
  CHECK(named(config, "harbour-cam-2")->group == "harbour");
  CHECK(groups_of(config) == std::vector<std::string>{"old-town", "harbour"});
}

TEST_CASE("faults in devices have their place and a way out") {
  CHECK(fault_of(kHead + "devices:\n  - {name: a, class: smal}\n") ==
        "4:22: \"class\" cannot be \"smal\"; did you mean \"small\"?");
  CHECK(fault_of(kHead + "devices:\n  - {name: a, speed: 0.5}\n") ==
        "4:22: \"speed\" is relative to a class: name one");
  CHECK(fault_of(kHead + "devices:\n  - {name: a, count: 2}\n") ==
        "4:12: two devices have the name \"a\": put {n} into it");
  CHECK(fault_of(kHead + "devices:\n  - {name: 'a{m}', count: 2}\n").find("between braces stands n") !=
        std::string::npos);
  CHECK(fault_of(kHead + "devices:\n  - {name: 'a{n', count: 2}\n").find("between braces stands n") !=
        std::string::npos);
  CHECK(fault_of(kHead + "devices:\n  - {name: a, group: b, groups: [c]}\n").find("not both") !=
        std::string::npos);
  CHECK(fault_of(kHead + "devices:\n  - {name: 'a{n}', count: 2000}\n").find("from 1 to 1023") !=
        std::string::npos);
  CHECK(fault_of(kHead + "devices:\n  - {name: 'a{n}', count: 600}\n  - {name: 'b{n}', count: 600}\n")
            .find("at most 1023 devices") != std::string::npos);
  CHECK(fault_of(kHead + "classes: none.yaml\ndevices:\n  - {name: a, class: small}\n").find("none.yaml") !=
        std::string::npos);
  CHECK(
      fault_of(kHead + "devices: [{name: a}]\npipelines: per-groupp\n").find("did you mean \"per-group\"") !=
      std::string::npos);
}

TEST_CASE("without links every link is a switched wire") {
  const ClusterConfig config = config_of(kStreet);
  const LinkQuality quality = link_between(config, &config.devices[0], &config.devices[1]);
  CHECK(quality.latency_seconds == doctest::Approx(200e-6));
  CHECK(quality.bytes_per_second == doctest::Approx(125e6));
  CHECK(quality.loss == 0);
}

TEST_CASE(
    "link rules name devices, groups, patterns and the coordinator; the last that fits wins, figure by "
    "figure") {
  const ClusterConfig config =
      config_of(kStreet +
                "links:\n"
                "  default: {latency: 1ms, rate: 100mbit}\n"
                "  rules:\n"
                "    - {between: ['*', cameras], latency: 4ms, rate: 40mbit, loss: 0.01}\n"
                "    - {from: cam-2, to: '*', rate: 10mbit}\n"
                "    - {between: [coordinator, 'gate-*'], latency: 100us, jitter: 2ms}\n");
  const DeviceConfig* cam1 = named(config, "cam-1");
  const DeviceConfig* cam2 = named(config, "cam-2");
  const DeviceConfig* gate = named(config, "gate-1");
  const DeviceConfig* hub = named(config, "hub");
  CHECK(link_between(config, hub, gate).latency_seconds == doctest::Approx(0.001));
  CHECK(link_between(config, hub, gate).bytes_per_second == doctest::Approx(12.5e6));
  CHECK(link_between(config, gate, cam1).latency_seconds == doctest::Approx(0.004));
  CHECK(link_between(config, cam1, gate).loss == doctest::Approx(0.01));
  CHECK(link_between(config, cam2, gate).bytes_per_second == doctest::Approx(1.25e6));
  CHECK(link_between(config, cam2, gate).latency_seconds == doctest::Approx(0.004));
  CHECK(link_between(config, gate, cam2).bytes_per_second == doctest::Approx(5e6));
  CHECK(link_between(config, nullptr, gate).latency_seconds == doctest::Approx(100e-6));
  CHECK(link_between(config, gate, nullptr).jitter_seconds == doctest::Approx(0.002));
  CHECK(link_between(config, hub, gate).jitter_seconds == 0);
}

TEST_CASE("a coordinator beside a device has that device's links") {
  const std::string links = "links: {rules: [{between: [coordinator, cameras], latency: 9ms}]}\n";
  const ClusterConfig beside = config_of(kStreet + "coordinator: {beside: hub}\n" + links);
  const DeviceConfig* host = coordinator_host(beside, "");
  REQUIRE(host);
  CHECK(host->name == "hub");
  CHECK(link_between(beside, host, named(beside, "cam-1")).latency_seconds == doctest::Approx(0.009));
  CHECK(link_between(beside, named(beside, "gate-1"), named(beside, "cam-1")).latency_seconds ==
        doctest::Approx(200e-6));
  CHECK(coordinator_host(config_of(kStreet), "") == nullptr);
  const ClusterConfig by_address = config_of(
      kHead + "coordinator: {address: 10.0.0.1}\ndevices: [{name: a, address: 10.0.0.1}, {name: b}]\n");
  REQUIRE(coordinator_host(by_address, ""));
  CHECK(coordinator_host(by_address, "")->name == "a");
  const ClusterConfig districts =
      config_of(kHead + "coordinator: {beside: '{group}-hub'}\npipelines: per-group\n" +
                "devices: [{name: '{group}-hub', groups: [x, y]}, {name: '{group}-cam', groups: [x, y]}]\n");
  CHECK(districts.pipeline_per_group);
  CHECK(coordinator_host(districts, "y")->name == "y-hub");
  CHECK(fault_of(kStreet + "coordinator: {beside: hubb}\n").find("no device has that name") !=
        std::string::npos);
}

TEST_CASE("faults in links have their place and a way out") {
  const auto fault_with = [](const std::string& rule) {
    return fault_of(kStreet + "links:\n  rules:\n    - {" + rule + "}\n");
  };
  CHECK(fault_with("between: [hub, cameraz], latency: 1ms").find("did you mean \"cameras\"?") !=
        std::string::npos);
  CHECK(fault_with("between: [hub, cameras], latency: 1").find("is a time (for example") !=
        std::string::npos);
  CHECK(fault_with("between: [hub, cameras], rate: 100").find("is a rate from") != std::string::npos);
  CHECK(fault_with("between: [hub, cameras], rate: 0mbit").find("is a rate from") != std::string::npos);
  CHECK(fault_with("between: [hub, cameras], los: 0.1").find("did you mean \"loss\"?") != std::string::npos);
  CHECK(fault_with("between: [hub, cameras], loss: 0.9").find("is a number from 0 to 0.5") !=
        std::string::npos);
  CHECK(fault_with("between: [hub]").find("\"between\" [A, B]") != std::string::npos);
  CHECK(fault_with("from: hub").find("\"between\" [A, B]") != std::string::npos);
  CHECK(fault_with("between: [hub, cameras], from: hub, to: hub").find("\"between\" [A, B]") !=
        std::string::npos);
  CHECK(fault_with("between: ['***', cameras]").find("two of them *") != std::string::npos);
}

TEST_CASE("arrivals and failures arrive as they are written") {
  const ClusterConfig config =
      config_of(kStreet +
                "arrivals:\n"
                "  per_second: 2.5\n"
                "  requests: 40\n"
                "  seed: 7\n"
                "  prompt: {least: 10, most: 20}\n"
                "  answer: {least: 1, most: 400, median: 90, spread: 1.8}\n"
                "failures:\n"
                "  planned: [{device: cam-2, at: 30s, lasts: 20s, how: network}, {device: hub, at: 1min}]\n"
                "  random: {mean_time_between: 2h, lasts: 5min, how: process}\n");
  CHECK(config.arrivals.per_second == 2.5);
  CHECK(config.arrivals.requests == 40);
  CHECK(config.arrivals.seed == 7);
  CHECK(config.arrivals.prompt.least == 10);
  CHECK(config.arrivals.prompt.median == 0);
  CHECK(config.arrivals.answer.median == 90);
  CHECK(config.arrivals.answer.spread == 1.8);
  REQUIRE(config.failures.planned.size() == 2);
  CHECK(config.failures.planned[0] == PlannedFailure{"cam-2", 30, 20, FailureKind::Network});
  CHECK(config.failures.planned[1] == PlannedFailure{"hub", 60, 0, FailureKind::Power});
  CHECK(config.failures.mean_seconds_between == 7200);
  CHECK(config.failures.random_lasts_seconds == 300);
  CHECK(config.failures.random_kind == FailureKind::Process);
}

TEST_CASE("a trace is read beside its config, and is the whole word on arrivals") {
  const ClusterConfig config = config_of(kStreet + "arrivals: {trace: trace.csv}\n");
  CHECK(config.arrivals.trace == std::vector<PlannedRequest>{{0.5, 10, 20}, {1.5, 30, 1}});
  CHECK(config.arrivals.requests == 2);
  CHECK(fault_of(kStreet + "arrivals: {trace: bad.csv}\n").find("bad.csv:2: a line is SECONDS") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "arrivals: {trace: no.csv}\n").find("no.csv cannot be read") != std::string::npos);
  CHECK(fault_of(kStreet + "arrivals: {trace: trace.csv, seed: 3}\n").find("leave this out") !=
        std::string::npos);
}

TEST_CASE("faults in arrivals and failures have their place and a way out") {
  CHECK(fault_of(kStreet + "arrivals: {prompt: {least: 5, most: 4}}\n").find("\"most\" is below \"least\"") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "arrivals: {prompt: {most: 4}}\n").find("\"least\" is missing") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "arrivals: {per_secnd: 1}\n").find("did you mean \"per_second\"") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "arrivals: {per_second: 0}\n").find("is a number from 1e-06 to 1e+06") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "failures: {planned: [{device: cam-9, at: 3s}]}\n").find("did you mean \"cam-") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "failures: {planned: [{device: cam-1}]}\n").find("\"at\" is missing") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "failures: {random: {mean_time_between: 1ms}}\n").find("never works") !=
        std::string::npos);
  CHECK(fault_of(kStreet + "failures: {planned: [{device: hub, at: 1s, how: fire}]}\n")
            .find("\"how\" cannot be \"fire\"") != std::string::npos);
}

TEST_CASE("the classes that ship parse, and each has figures that make sense") {
  const auto root = std::filesystem::path(SHOAL_TEST_DATA).parent_path().parent_path();
  const Result<std::vector<DeviceClass>> classes =
      read_device_classes((root / "cluster-configs" / "device-classes.yaml").string());
  REQUIRE_MESSAGE(classes, (classes ? "" : classes.error().message()));
  CHECK(classes->size() >= 7);
  for (const DeviceClass& kind : *classes) {
    CAPTURE(kind.name);
    // An embedded board of our days; int8 work per byte read is what tells prefill from decode.
    CHECK(kind.figures.read_bytes_per_second >= 1e9);
    CHECK(kind.figures.read_bytes_per_second <= 70e9);
    CHECK(kind.figures.int8_macs_per_second > kind.figures.read_bytes_per_second);
    REQUIRE(kind.power);
    CHECK(kind.power->busy_watts > kind.power->idle_watts);
  }
}

TEST_CASE("a class that says too little or too much is told with its place") {
  const ScratchFolder scratch;
  const auto fault_in = [&](const std::string& text) {
    const auto read = read_device_classes(scratch.write("k.yaml", text));
    return read ? std::string("no fault") : read.error().message();
  };
  const std::string good =
      "name: a, memory: 1G, threads: 1, read_gb_per_s: 1, int8_gmac_per_s: 1, disk_mb_per_s: 1";
  CHECK(fault_in("version: 1\nclasses: [{" + good + "}]\n") == "no fault");
  CHECK(
      fault_in("version: 1\nclasses: [{" + good + "}, {" + good + "}]\n").find("two classes have the name") !=
      std::string::npos);
  CHECK(fault_in("version: 1\nclasses: [{" + good + ", watts_busy: 3}]\n").find("stand together") !=
        std::string::npos);
  CHECK(fault_in("version: 1\nclasses: [{" + good + ", watts_idle: 4, watts_busy: 3}]\n")
            .find("no less than") != std::string::npos);
  CHECK(fault_in("version: 1\nclasses: [{name: a}]\n").find("is missing") != std::string::npos);
  CHECK(fault_in("version: 1\nclasses: [{" + good + ", colour: 3}]\n").find("unknown key \"colour\"") !=
        std::string::npos);
}

}  // namespace shoal
