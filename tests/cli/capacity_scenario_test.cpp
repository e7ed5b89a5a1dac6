#include "cli/capacity_scenario.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "cli/capacity_tables.h"
#include "coordinator/hub_store.h"
#include "simulation/model_shapes.h"
#include "tests/cli/scratch.h"

namespace shoal {
namespace {

constexpr const char* kClasses =
    "version: 1\n"
    "classes:\n"
    "  - {name: big, memory: 4G, threads: 8, read_gb_per_s: 20, int8_gmac_per_s: 80, disk_mb_per_s: 400,\n"
    "     watts_idle: 5, watts_busy: 15}\n";

struct Written {
  ScratchFolder scratch;
  ClusterConfig config;
  explicit Written(const std::string& yaml) {
    scratch.write("device-classes.yaml", kClasses);
    Result<ClusterConfig> read =
        read_cluster_config(scratch.write("c.yaml", "version: 1\nmodels: [smollm2-135m]\n" + yaml));
    REQUIRE_MESSAGE(read, (read ? "" : read.error().message()));
    config = *std::move(read);
  }
};

ServedModel smollm2() { return *model_of_shape("smollm2-135m"); }

}  // namespace

TEST_CASE("a config's words become a scenario's figures") {
  const Written written(
      "coordinator: {beside: a, context: 600, kv_positions: 3000, max_sequences: 5, min_stages: 2,\n"
      "              objective: throughput}\n"
      "devices:\n"
      "  - {name: a, class: big}\n"
      "  - {name: b, class: big, speed: 0.5, memory: 300M, threads: 2}\n"
      "  - {name: c, class: big, may_compute: false}\n"
      "links: {rules: [{between: [a, b], latency: 7ms, rate: 8mbit, jitter: 1ms, loss: 0.02}]}\n"
      "arrivals: {requests: 3, seed: 5}\n"
      "failures: {planned: [{device: b, at: 2s, lasts: 1s}], random: {mean_time_between: 60s}}\n");
  const Result<CapacityScenario> scenario = scenario_of(written.config, smollm2(), {});
  REQUIRE(scenario);
  REQUIRE(scenario->pipelines.size() == 1);
  const CapacityPipeline& pipeline = scenario->pipelines[0];
  CHECK(pipeline.hub_beside == 0);
  CHECK(pipeline.settings.max_context == 600);
  CHECK(pipeline.settings.scheduler.max_context == 600);
  CHECK(pipeline.settings.kv_positions == 3000);
  CHECK(pipeline.settings.max_sequences == 5);
  CHECK(pipeline.settings.min_stages == 2);
  CHECK(pipeline.settings.objective == Objective::Throughput);
  CHECK(pipeline.settings.banned == std::set<std::string>{"c"});
  CHECK(pipeline.devices[0].memory_bytes == 4ull << 30);
  CHECK(pipeline.devices[0].num_threads == 8);
  CHECK(pipeline.devices[0].kind == "big");
  CHECK(pipeline.devices[0].busy_watts == 15);
  CHECK(pipeline.devices[1].memory_bytes == 300ull << 20);
  CHECK(pipeline.devices[1].num_threads == 2);
  CHECK(pipeline.devices[1].profile.units[1].seconds_batch1 ==
        doctest::Approx(2 * pipeline.devices[0].profile.units[1].seconds_batch1));
  const SimLink link = pipeline.link(0, 1);
  CHECK(link.latency == std::chrono::milliseconds(7));
  CHECK(link.jitter == std::chrono::milliseconds(1));
  CHECK(link.bytes_per_second == doctest::Approx(1e6));
  CHECK(link.loss == doctest::Approx(0.02));
  CHECK(pipeline.link(1, 2).latency == std::chrono::microseconds(200));
  CHECK(scenario->arrivals.size() == 3);
  CHECK(scenario->seed == 5);
  // The coordinator's own device loses no power by chance.
  for (const PlannedFailure& failure : scenario->failures) CHECK(failure.device != "a");
  CHECK(scenario->failures.size() > 3);
}

TEST_CASE("each group is a cluster where the config says so") {
  const Written written(
      "coordinator: {beside: '{group}-hub'}\npipelines: per-group\n"
      "devices:\n"
      "  - {name: '{group}-cam-{n}', count: 2, groups: [x, y], class: big}\n"
      "  - {name: '{group}-hub', groups: [x, y], class: big}\n");
  const Result<CapacityScenario> scenario = scenario_of(written.config, smollm2(), {});
  REQUIRE(scenario);
  REQUIRE(scenario->pipelines.size() == 2);
  CHECK(scenario->pipelines[1].name == "y");
  REQUIRE(scenario->pipelines[1].devices.size() == 3);
  CHECK(scenario->pipelines[1].devices[2].name == "y-hub");
  CHECK(scenario->pipelines[1].hub_beside == 2);
}

TEST_CASE("a device that nobody knows the speed or memory of is an error that says what to do") {
  const Written without("devices: [{name: a, memory: 1G}]\n");
  const Result<CapacityScenario> scenario = scenario_of(without.config, smollm2(), {});
  REQUIRE_FALSE(scenario);
  CHECK(scenario.error().code() == ErrorCode::InvalidArgument);
  CHECK(scenario.error().message().find("the device a has no class") != std::string::npos);
  ProfileReport measured{.model = smollm2().hash,
                         .units = {{0, 1e-6, 1e-5, 0}, {1, 1e-3, 2e-3, 0}, {31, 0.01, 0.02, 0}}};
  const Result<CapacityScenario> known = scenario_of(without.config, smollm2(), {{"a", measured}});
  REQUIRE(known);
  CHECK(known->pipelines[0].devices[0].profile == measured);
  const Written no_memory("devices: [{name: a}]\n");
  CHECK(
      scenario_of(no_memory.config, smollm2(), {{"a", measured}}).error().message().find("neither memory") !=
      std::string::npos);
}

TEST_CASE("what a hub measured is read from its memory, of the right model alone") {
  const ScratchFolder scratch;
  const ServedModel model = smollm2();
  {
    Result<HubStore> store = HubStore::open(scratch.file("hub.sqlite"));
    REQUIRE(store);
    ProfileReport report{.model = model.hash, .units = {{1, 1e-3, 2e-3, 0}}, .read_bytes_per_second = 5e9};
    REQUIRE(store->remember(RememberDevice{DeviceId{1}, "cam-1", "key one", false}));
    REQUIRE(store->remember(RememberDevice{DeviceId{2}, "cam-2", "key two", false}));
    REQUIRE(store->remember(RememberProfile{"key one", "neon", 4, report}));
    report.model = Sha256{};
    REQUIRE(store->remember(RememberProfile{"key two", "neon", 4, report}));
  }
  const Result<MeasuredProfiles> measured = read_measured_profiles(scratch.path(), model);
  REQUIRE_MESSAGE(measured, (measured ? "" : measured.error().message()));
  REQUIRE(measured->size() == 1);
  CHECK(measured->at("cam-1").units[0].seconds_batch1 == 1e-3);
  CHECK(read_measured_profiles(scratch.file("nowhere"), model).error().code() == ErrorCode::NotFound);
}

TEST_CASE("a report's JSON holds its figures, and its tables name the bottleneck") {
  CapacityReport report;
  report.requests = 3;
  report.finished = 2;
  report.failed = 1;
  report.failure_reasons = {"the prompt is long"};
  report.tokens_per_second = 12.5;
  report.between_tokens = {100, 0.05, 0.04, 0.09, 0.1, 0.2};
  report.devices = {{"cam", "pi5-8gb", "", "layers 0-9", 0.93, 1000000, 9}};
  report.recoveries = {{"cam", "", FailureKind::Power, 30, true, "layers 0-9", 0.9, 2, -1, 3, 4, 2}};
  report.bottleneck = "cam's layers 0-9 are the bottleneck: 93 % busy.";
  const nlohmann::json json = nlohmann::json::parse(capacity_json(report));
  CHECK(json["tokens_per_second"] == 12.5);
  CHECK(json["between_tokens_seconds"]["p95"] == 0.09);
  CHECK(json["devices"][0]["busy"] == 0.93);
  CHECK(json["recoveries"][0]["kind"] == "power");
  CHECK(json["recoveries"][0]["first_token_seconds"].is_null());
  const std::string text = render_capacity(report);
  for (const char* part : {"2 answered, 1 failed", "the prompt is long", "90.0 ms", "93 %", "cam (power)",
                           "Cam's layers 0-9 are the bottleneck"}) {
    CAPTURE(part);
    CHECK(text.find(part) != std::string::npos);
  }
}

}  // namespace shoal
