#include "simulation/capacity.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "coordinator/plan_builder.h"
#include "simulation/expected_profile.h"
#include "simulation/model_shapes.h"

namespace shoal {
namespace {

constexpr double kSockets = 100e-6;   // what every message costs beside its link (capacity_run.cpp)
constexpr double kHandOver = 150e-6;  // and every visit of a worker

const ServedModel& smollm2() {
  static const ServedModel model = *model_of_shape("smollm2-135m");
  return model;
}

CapacityDevice device_of(const std::string& name, double read = 4e9, double int8 = 12e9) {
  CapacityDevice device{.name = name, .kind = "board", .memory_bytes = 1ull << 30};
  device.profile = expected_profile({read, int8, 0}, smollm2());
  device.disk_bytes_per_second = 100e6;
  device.idle_watts = 2;
  device.busy_watts = 10;
  return device;
}

SimLink link_of(double latency_ms, double mbit) {
  return {.latency = from_seconds(latency_ms / 1e3), .bytes_per_second = mbit * 1e6 / 8};
}

// `count` equal devices; all links alike, the hub on a machine of its own.
CapacityScenario scenario_of(std::size_t count, SimLink link, std::uint32_t min_stages = 1) {
  CapacityScenario scenario;
  scenario.model = smollm2();
  CapacityPipeline pipeline;
  for (std::size_t i = 0; i < count; ++i) pipeline.devices.push_back(device_of("d" + std::to_string(i + 1)));
  pipeline.link = [link](std::size_t, std::size_t) { return link; };
  pipeline.settings.min_stages = min_stages;
  pipeline.settings.max_context = 512;
  pipeline.settings.scheduler.max_context = 512;
  pipeline.settings.kv_positions = 8192;
  scenario.pipelines.push_back(std::move(pipeline));
  return scenario;
}

CapacityReport run(const CapacityScenario& scenario) {
  const Result<CapacityReport> report = simulate_capacity(scenario);
  REQUIRE_MESSAGE(report, (report ? "" : report.error().message()));
  return *report;
}

std::vector<PlannedRequest> one_after_another(std::size_t count, double gap, std::uint32_t prompt,
                                              std::uint32_t answer) {
  std::vector<PlannedRequest> requests;
  for (std::size_t i = 0; i < count; ++i)
    requests.push_back({1 + gap * static_cast<double>(i), prompt, answer});
  return requests;
}

double seconds_per_token(const CapacityDevice& device) {
  const std::vector<LayerProfile>& units = device.profile.units;
  return units[0].seconds_batch1 + 30 * units[1].seconds_batch1 + units[2].seconds_batch1;
}

}  // namespace

TEST_CASE("one device's stream has the token time that its profile and its link say") {
  CapacityScenario scenario = scenario_of(1, link_of(1, 100));
  for (LayerProfile& unit : scenario.pipelines[0].devices[0].profile.units) unit.seconds_per_1k_context = 0;
  scenario.arrivals = one_after_another(3, 20, 1, 100);
  const CapacityReport report = run(scenario);
  CHECK(report.finished == 3);
  CHECK(report.tokens == 300);
  // A step out and candidates back; some 2 KB at 12.5 MB/s on the way back.
  const double expected =
      seconds_per_token(scenario.pipelines[0].devices[0]) + 2 * (0.001 + kSockets) + 0.00016;
  CHECK(report.between_tokens.p50 == doctest::Approx(expected).epsilon(0.005));
  CHECK(report.between_tokens.p99 == doctest::Approx(expected).epsilon(0.02));
  CHECK(report.first_token.p50 == doctest::Approx(expected).epsilon(0.01));
  CHECK(report.answer.p50 == doctest::Approx(100 * expected).epsilon(0.01));
}

TEST_CASE("what the planner promises one stream over several devices is what the simulated stream gets") {
  for (const double latency_ms : {0.2, 5.0}) {
    CAPTURE(latency_ms);
    CapacityScenario scenario = scenario_of(3, link_of(latency_ms, 50), 3);
    for (CapacityDevice& device : scenario.pipelines[0].devices) {
      for (LayerProfile& unit : device.profile.units) unit.seconds_per_1k_context = 0;
    }
    scenario.arrivals = one_after_another(2, 30, 2, 100);
    const CapacityReport report = run(scenario);
    REQUIRE(report.pipelines[0].stages.size() == 3);
    CHECK(report.between_tokens.p50 ==
          doctest::Approx(report.pipelines[0].predicted_seconds_per_token + 3 * kHandOver).epsilon(0.03));
  }
}

TEST_CASE(
    "a saturated pipeline brings what its busiest device can, and that device is called the bottleneck") {
  CapacityScenario scenario = scenario_of(3, link_of(0.2, 1000), 3);
  scenario.pipelines[0].devices[1].profile = expected_profile({1e9, 3e9, 0}, smollm2());
  scenario.arrivals = one_after_another(60, 0.01, 4, 200);
  const CapacityReport report = run(scenario);
  CHECK(report.finished == 60);
  const auto busiest = std::ranges::max_element(report.devices, {}, &DeviceUse::busy);
  CHECK(busiest->busy > 0.8);
  CHECK(busiest->busy <= 1);
  CHECK(report.bottleneck.starts_with(busiest->name + "'s "));
  CHECK(report.bottleneck.find("bottleneck") != std::string::npos);
}

TEST_CASE("requests in the house are arrivals times their stay, whatever the load") {
  for (const double gap : {2.0, 0.8}) {
    CAPTURE(gap);
    CapacityScenario scenario = scenario_of(2, link_of(1, 100), 2);
    ArrivalPlan plan;
    plan.per_second = 1 / gap;
    plan.requests = 300;
    plan.prompt = {10, 100};
    plan.answer = {10, 40};
    scenario.arrivals = make_arrivals(plan);
    const CapacityReport report = run(scenario);
    CHECK(report.finished == 300);
    const double stays = report.answer.mean * static_cast<double>(report.finished) / report.seconds;
    CHECK(report.pipelines[0].mean_running + report.pipelines[0].mean_waiting ==
          doctest::Approx(stays).epsilon(0.05));
  }
}

TEST_CASE("the same scenario gives the same report, and another seed another network") {
  CapacityScenario scenario = scenario_of(3,
                                          {.latency = std::chrono::milliseconds(3),
                                           .jitter = std::chrono::milliseconds(4),
                                           .bytes_per_second = 5e6,
                                           .loss = 0.01},
                                          2);
  scenario.arrivals = one_after_another(10, 0.5, 50, 30);
  const CapacityReport first = run(scenario);
  const CapacityReport again = run(scenario);
  CHECK(first.between_tokens.mean == again.between_tokens.mean);
  CHECK(first.first_token.p99 == again.first_token.p99);
  CHECK(first.seconds == again.seconds);
  CHECK(first.links[0].bytes == again.links[0].bytes);
  CHECK(first.bottleneck == again.bottleneck);
  scenario.seed = 2;
  CHECK(run(scenario).between_tokens.mean != first.between_tokens.mean);
}

TEST_CASE("a device that fails under answers costs a pause and no token") {
  for (const FailureKind kind : {FailureKind::Process, FailureKind::Power, FailureKind::Network}) {
    CAPTURE(name_of(kind));
    CapacityScenario scenario = scenario_of(3, link_of(1, 100), 2);
    scenario.arrivals = one_after_another(8, 1, 60, 120);
    const CapacityReport calm = run(scenario);
    REQUIRE(calm.pipelines[0].stages.size() >= 2);
    scenario.failures = {{calm.pipelines[0].stages[1].device, 5, 20, kind}};
    const CapacityReport report = run(scenario);
    CHECK(report.finished == 8);
    CHECK(report.tokens == 8 * 120);
    REQUIRE(report.recoveries.size() == 1);
    const RecoveryReport& recovery = report.recoveries[0];
    CHECK(recovery.had_part);
    CHECK(recovery.requests_hit >= 1);
    const bool refuses = kind == FailureKind::Process;
    CHECK(recovery.detected_after > 0);
    CHECK(recovery.detected_after <= (refuses ? 0.1 : 3.1));
    CHECK(recovery.serving_after >= recovery.detected_after);
    CHECK(recovery.token_after > recovery.serving_after);
    CHECK(recovery.longest_pause >= recovery.token_after);
    CHECK(report.between_tokens.most == doctest::Approx(recovery.longest_pause));
    CHECK(report.between_tokens.most > 5 * calm.between_tokens.most);
  }
}

TEST_CASE("a device without a part may go: nobody notices but the hub") {
  CapacityScenario scenario = scenario_of(2, link_of(20, 100));  // one device alone is faster
  scenario.arrivals = one_after_another(5, 1, 10, 40);
  const CapacityReport calm = run(scenario);
  REQUIRE(calm.pipelines[0].stages.size() == 1);
  const std::string idle = calm.pipelines[0].stages[0].device == "d1" ? "d2" : "d1";
  scenario.failures = {{idle, 3, 0, FailureKind::Power}};
  const CapacityReport report = run(scenario);
  CHECK_FALSE(report.recoveries[0].had_part);
  CHECK(report.recoveries[0].detected_after > 0);
  CHECK(report.between_tokens.most == doctest::Approx(calm.between_tokens.most).epsilon(0.01));
}

TEST_CASE("busy shares are work over time, energy is watts over it") {
  CapacityScenario scenario = scenario_of(1, link_of(0.2, 1000));
  for (LayerProfile& unit : scenario.pipelines[0].devices[0].profile.units) unit.seconds_per_1k_context = 0;
  scenario.arrivals = one_after_another(4, 10, 1, 100);
  const CapacityReport report = run(scenario);
  const double work = 400 * seconds_per_token(scenario.pipelines[0].devices[0]);
  CHECK(report.devices[0].busy == doctest::Approx(work / report.seconds).epsilon(0.001));
  CHECK(report.watts == doctest::Approx(2 + 8 * report.devices[0].busy));
  CHECK(report.joules_per_token == doctest::Approx(report.watts * report.seconds / 400));
  double carried = 0;
  for (const LinkUseReport& link : report.links) {
    if (link.from == "d1" && link.to == "coordinator") carried = static_cast<double>(link.bytes);
  }
  CHECK(carried > 400 * 1000);  // candidates of each token, and beats
}

TEST_CASE("two clusters share the load, and a request goes where it is answered first") {
  CapacityScenario scenario = scenario_of(1, link_of(0.2, 1000));
  scenario.pipelines.push_back(scenario.pipelines[0]);
  scenario.pipelines[0].name = "slow";
  scenario.pipelines[1].name = "fast";
  scenario.pipelines[1].devices[0].name = "f1";
  scenario.pipelines[1].devices[0].profile = expected_profile({12e9, 36e9, 0}, smollm2());
  scenario.arrivals = one_after_another(40, 0.1, 10, 100);
  const CapacityReport report = run(scenario);
  CHECK(report.finished == 40);
  CHECK(report.pipelines[0].requests > 0);
  CHECK(report.pipelines[1].requests > 2 * report.pipelines[0].requests);
}

TEST_CASE("what cannot serve is an error that says why") {
  CapacityScenario scenario = scenario_of(2, link_of(0.2, 1000));
  for (CapacityDevice& device : scenario.pipelines[0].devices) device.memory_bytes = 50 << 20;
  scenario.arrivals = one_after_another(1, 1, 10, 10);
  const Result<CapacityReport> report = simulate_capacity(scenario);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::OutOfMemory);
  CHECK(report.error().message().find("does not serve") != std::string::npos);

  CapacityScenario with_failure = scenario_of(1, link_of(0.2, 1000));
  with_failure.failures = {{"nobody", 1, 0, FailureKind::Power}};
  CHECK(simulate_capacity(with_failure).error().code() == ErrorCode::InvalidArgument);
  with_failure.pipelines[0].hub_beside = 0;
  with_failure.failures = {{"d1", 1, 0, FailureKind::Power}};
  CHECK(simulate_capacity(with_failure).error().message().find("the coordinator runs there") !=
        std::string::npos);
}

TEST_CASE("a banned device gets no layers") {
  CapacityScenario scenario = scenario_of(2, link_of(0.2, 1000));
  scenario.pipelines[0].devices[0].profile = expected_profile({40e9, 120e9, 0}, smollm2());
  scenario.arrivals = one_after_another(2, 1, 10, 10);
  CHECK(run(scenario).pipelines[0].stages[0].device == "d1");
  scenario.pipelines[0].settings.banned = {"d1"};
  const CapacityReport report = run(scenario);
  CHECK(report.pipelines[0].stages[0].device == "d2");
  CHECK(report.devices[0].busy == 0);
}

TEST_CASE("quantiles are nearest ranks") {
  std::vector<double> samples;
  for (int i = 100; i >= 1; --i) samples.push_back(i);
  const Quantiles q = quantiles_of(samples);
  CHECK(q.count == 100);
  CHECK(q.mean == doctest::Approx(50.5));
  CHECK(q.p50 == 50);
  CHECK(q.p95 == 95);
  CHECK(q.p99 == 99);
  CHECK(q.most == 100);
  std::vector<double> one{7}, none;
  CHECK(quantiles_of(one).p99 == 7);
  CHECK(quantiles_of(none).count == 0);
}

}  // namespace shoal
