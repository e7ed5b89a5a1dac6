#include <doctest/doctest.h>

#include "tests/simulation/judged_requests.h"

// A device that turns out to be slower than its profile loses layers, and not too easily.
namespace shoal {
namespace {

using namespace std::chrono_literals;

constexpr double kUnitRow = 3e-3;  // seconds: some forty tokens a second, so that minutes pass quickly here

// A stream without end over devices that are all needed.
struct Busy {
  explicit Busy(const TinyModel& model, std::size_t num_devices, ReplanSettings replan = {},
                Objective objective = Objective::Balanced)
      : judged(endless(model)) {
    SimClusterOptions options = sim_options(model, num_devices, 41);
    for (SimDevice& device : options.devices) device.seconds_per_unit_row = kUnitRow;
    options.settings.replan = replan;
    options.settings.objective = objective;
    cluster = serving_cluster(std::move(options));
  }

  static JudgedRequest endless(const TinyModel& model) {
    InferenceRequest request;
    request.prompt = {5, 46, 87, 128};
    request.max_tokens = 300;
    request.ignore_end = request.has_seed = true;
    request.sampling.temperature = 0.9f;
    request.sampling.seed = 3;
    return judge(model, std::move(request));
  }

  // Asks again whenever an answer ends, and holds each against the whole model.
  void run_for(Duration duration) {
    const Time end = cluster->now() + duration;
    while (cluster->now() < end) {
      if (asked && has_ended(cluster->events_of(*asked))) {
        CHECK(fault_in(judged, cluster->events_of(*asked), false) == "");
        asked.reset();
      }
      if (!asked) asked = cluster->submit(judged.request);
      (void)cluster->run_until([&] { return has_ended(cluster->events_of(*asked)); },
                               std::min<Duration>(end - cluster->now(), 1s));
    }
  }

  std::uint32_t layers_of(DeviceId device) const {
    std::uint32_t layers = 0;
    const PlanVersion& plan = *cluster->hub().active;
    for (std::size_t i = 0; i < plan.plan.stages.size(); ++i) {
      if (plan.device_of(i) == device) layers += plan.plan.stages[i].units.size();
    }
    return layers;
  }
  std::uint64_t changes() const { return cluster->hub().replanning.changes; }

  JudgedRequest judged;
  std::unique_ptr<SimCluster> cluster;
  std::optional<RequestId> asked;
};

}  // namespace

TEST_CASE(
    "a device that becomes three times as slow loses layers within ten seconds, and the text is the same") {
  const TinyModel model{7};
  Busy busy(model, 2);
  busy.run_for(32s);  // the first plan has stood for its pause
  const std::uint32_t version = busy.cluster->hub().plan_version;
  const DeviceId slow = busy.cluster->hub().active->device_of(0);
  const std::uint32_t before = busy.layers_of(slow);
  REQUIRE(before > 1);
  busy.cluster->set_speed(slow, 3 * kUnitRow);
  busy.run_for(10s);
  CHECK(busy.layers_of(slow) < before);
  CHECK(busy.changes() == 1);
  CHECK(busy.cluster->hub().plan_version == version + 1);
  CHECK(busy.cluster->hub().active->why.find("would gain") != std::string::npos);
  CHECK(busy.cluster->hub().devices_lost == 0);
  busy.run_for(60s);
  CHECK(busy.changes() == 1);  // and that is that
}

// For one stream it does not matter where layers of equally fast devices lie, for many it does.
TEST_CASE("a device that is as fast as before gets its layers back") {
  const TinyModel model{7};
  Busy busy(model, 2, {}, Objective::Throughput);
  busy.run_for(32s);
  const DeviceId slow = busy.cluster->hub().active->device_of(0);
  const std::uint32_t before = busy.layers_of(slow);
  busy.cluster->set_speed(slow, 3 * kUnitRow);
  busy.run_for(20s);
  REQUIRE(busy.layers_of(slow) < before);
  busy.cluster->set_speed(slow, kUnitRow);
  busy.run_for(60s);
  CHECK(busy.layers_of(slow) == before);
  CHECK(busy.changes() == 2);
}

TEST_CASE("a device that keeps changing its speed causes no storm of plans") {
  const TinyModel model{7};
  Busy busy(model, 2, {}, Objective::Throughput);
  busy.run_for(32s);
  const DeviceId flapping = busy.cluster->hub().active->device_of(0);
  for (int i = 0; i < 15; ++i) {  // ten minutes
    busy.cluster->set_speed(flapping, i % 2 ? kUnitRow : 3 * kUnitRow);
    busy.run_for(40s);
  }
  MESSAGE("plans for it in ten minutes: " << busy.changes());
  CHECK(busy.changes() >= 1);
  CHECK(busy.changes() <= 5);
}

TEST_CASE("a stall or a little slowness changes no plan") {
  const TinyModel model{7};
  Busy busy(model, 2);
  busy.run_for(32s);
  const DeviceId device = busy.cluster->hub().active->device_of(0);
  for (int i = 0; i < 5; ++i) {
    busy.cluster->set_speed(device, 30 * kUnitRow);
    busy.run_for(300ms);
    busy.cluster->set_speed(device, 1.1 * kUnitRow);
    busy.run_for(5s);
  }
  CHECK(busy.changes() == 0);
}

TEST_CASE("whoever does not want plans to change by measurements says so") {
  const TinyModel model{7};
  Busy busy(model, 2, {.enabled = false});
  busy.run_for(32s);
  busy.cluster->set_speed(busy.cluster->hub().active->device_of(0), 3 * kUnitRow);
  busy.run_for(20s);
  CHECK(busy.changes() == 0);
}

}  // namespace shoal
