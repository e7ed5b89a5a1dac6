#include "coordinator/replanning.h"

#include <doctest/doctest.h>

#include "coordinator/plan_builder.h"
#include "coordinator/plan_problem.h"
#include "tests/coordinator/hub_fixture.h"

namespace shoal {
namespace {

using namespace std::chrono_literals;

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

// A serving hub whose devices take `factor` times what their profiles say for every step.
struct Serving {
  explicit Serving(std::uint32_t num_devices, ClusterSettings settings = {}, std::uint32_t min_stages = 0)
      : hub(tiny(), [&] {
          settings.min_stages = min_stages ? min_stages : num_devices;
          return settings;
        }()) {
    for (std::uint32_t i = 1; i <= num_devices; ++i) hub.join("cam-" + std::to_string(i));
    REQUIRE(hub.serve());
  }

  // Steps flow for so long, ten a second; each device tells of its stages with every beat.
  void flow(Duration duration) {
    for (const Time end = hub.now + duration; hub.now < end;) {
      for (std::size_t i = 0; i < active().plan.stages.size(); ++i) tell(i);
      hub.run_for(100ms);
    }
  }
  void tell(std::size_t stage) {
    const DeviceId device = active().device_of(stage);
    const DeviceSpeed speed = profiled_speed(*hub.state, hub.state->members.at(device));
    Beat beat{.epoch = active().epoch};
    const double seconds = compute_seconds(speed, active().plan.stages[stage].units, {.context = 100});
    beat.work = {{.stage = static_cast<std::uint32_t>(stage),
                  .row_class = 0,
                  .steps = 1,
                  .rows = 1,
                  .wanted_rows = 1,
                  .context = 100,
                  .seconds = seconds * (factor.contains(device) ? factor[device] : 1.0)}};
    hub.from(device, beat);
  }

  const PlanVersion& active() const { return *hub.state->active; }
  std::uint64_t changes() const { return hub.state->replanning.changes; }
  std::uint32_t units_of(DeviceId device) const {
    std::uint32_t units = 0;
    for (std::size_t i = 0; i < active().plan.stages.size(); ++i) {
      if (active().device_of(i) == device) units += active().plan.stages[i].units.size();
    }
    return units;
  }

  ScriptedHub hub;
  std::map<DeviceId, double> factor;
};

}  // namespace

TEST_CASE("a gain is what is left when moving is paid for over the horizon") {
  CHECK(net_gain(0.1, 0.05, 0, 10min) == doctest::Approx(0.5));
  CHECK(net_gain(0.1, 0.05, 60, 10min) == doctest::Approx(0.4));
  CHECK(net_gain(0.1, 0.09, 60, 10min) == doctest::Approx(0.0));
  CHECK(net_gain(0.1, 0.12, 0, 10min) < 0);
  CHECK(net_gain(0, 0.1, 0, 10min) == 0);
}

TEST_CASE("moving costs the bytes that a device lacks over its link, and what runs computed again") {
  Serving serving(2);
  ClusterState& state = *serving.hub.state;
  PlanVersion same = serving.active();
  CHECK(migration_seconds(state, same) == doctest::Approx(0));
  PlanVersion swapped = same;
  std::swap(swapped.plan.stages[0].device, swapped.plan.stages[1].device);
  double longest = 0;
  for (const PlannedStage& stage : swapped.plan.stages) {
    double bytes = 0;
    for (std::uint32_t unit = stage.units.begin; unit < stage.units.end; ++unit)
      bytes += static_cast<double>(swapped.problem.units[unit].weight_bytes);
    longest = std::max(longest, bytes / swapped.problem.from_hub[stage.device].bytes_per_second);
  }
  CHECK(migration_seconds(state, swapped) == doctest::Approx(longest));
  for (auto& [id, member] : state.members) {
    for (std::uint32_t unit = 0; unit < state.model.config.num_units(); ++unit)
      member.stored_units.insert(unit);
  }
  CHECK(migration_seconds(state, swapped) == doctest::Approx(0));
  InferenceRequest request;
  request.prompt.assign(100, 5);
  request.max_tokens = 5;
  serving.hub.feed(SubmitRequest{1, request});
  CHECK(migration_seconds(state, swapped) > 0);
}

TEST_CASE("a slow device loses units, at the earliest thirty seconds after the plan began") {
  Serving serving(2);
  const DeviceId slow = serving.active().device_of(0);
  const std::uint32_t before = serving.units_of(slow);
  serving.factor[slow] = 8;  // hops are most of a token's time here
  serving.flow(28s);
  CHECK(serving.changes() == 0);
  serving.flow(6s);
  CHECK(serving.changes() == 1);
  CHECK(serving.units_of(slow) < before);
  CHECK(serving.active().why.find("would gain") != std::string::npos);
  serving.flow(5min);
  CHECK(serving.changes() == 1);
}

TEST_CASE("what all profiles have wrong in common changes no plan") {
  Serving serving(3, {}, 1);  // one device serves, two are idle
  REQUIRE(serving.active().plan.stages.size() == 1);
  serving.factor[serving.active().device_of(0)] = 1.22;
  serving.flow(3min);
  CHECK(serving.changes() == 0);
}

TEST_CASE("a device that turns out far slower than its profile gives way to an idle one") {
  Serving serving(2, {}, 1);
  REQUIRE(serving.active().plan.stages.size() == 1);
  const DeviceId slow = serving.active().device_of(0);
  serving.factor[slow] = 2;
  serving.flow(40s);
  CHECK(serving.units_of(slow) == 0);
}

TEST_CASE("a gain that moving would eat up changes no plan, and the verdict says so") {
  Serving serving(2);
  const DeviceId slow = serving.active().device_of(0);
  for (auto& [id, member] : serving.hub.state->members) member.from_hub->bytes_per_second = 50;  // hours
  serving.factor[slow] = 8;
  serving.flow(2min);
  CHECK(serving.changes() == 0);
  CHECK(serving.hub.state->replanning.verdict.find("it takes 15 % to change") != std::string::npos);
}

TEST_CASE("changes that follow each other are further and further apart") {
  Serving serving(2);
  const DeviceId flapping = serving.active().device_of(0);
  serving.hub.state->settings.objective = Objective::Throughput;
  std::vector<Time> at;
  for (int i = 0; i < 40; ++i) {  // twenty minutes
    const std::uint64_t before = serving.changes();
    serving.factor[flapping] = i % 2 ? 1 : 3;
    serving.flow(30s);
    if (serving.changes() > before) at.push_back(serving.hub.now);
  }
  REQUIRE(at.size() >= 3);
  CHECK(at.size() <= 7);
  CHECK(at[2] - at[1] > at[1] - at[0]);
}

TEST_CASE("a device that joins is taken in without waiting for the pause") {
  ClusterSettings settings;
  settings.replan.least_pause = 1h;
  Serving serving(3, settings);
  const DeviceId lost = serving.active().device_of(1);
  serving.hub.feed(NetworkEvent(PeerDown{lost, Lane::Control, true, "refused"}));
  REQUIRE(serving.hub.serve());
  REQUIRE_FALSE(serving.active().uses(lost));
  Hello again = serving.hub.hello_of(lost);
  again.instance += 1;
  serving.hub.say_hello(lost, again);
  serving.hub.run_for(8s);
  CHECK(serving.active().uses(lost));
}

TEST_CASE("replanning can be switched off") {
  ClusterSettings settings;
  settings.replan.enabled = false;
  Serving serving(2, settings);
  serving.factor[serving.active().device_of(0)] = 8;
  serving.flow(2min);
  CHECK(serving.changes() == 0);
}

TEST_CASE("what every step costs is not taken for the slowness of a device that runs next to nothing") {
  Serving serving(2);
  const DeviceId device = serving.active().device_of(0);
  Beat beat{.epoch = serving.active().epoch};
  beat.work = {{.stage = 0, .row_class = 0, .steps = 10, .rows = 10, .wanted_rows = 10}};
  Member& member = serving.hub.state->members.at(device);
  const Range units = serving.active().plan.stages[0].units;
  for (LayerProfile& unit : member.profile->units) unit.seconds_batch1 = 1e-6;
  beat.work[0].seconds = 10 * (units.size() * 1e-6 + 10e-6);
  for (int i = 0; i < 20; ++i) serving.hub.from(device, beat);
  REQUIRE(member.correction.factor(0));
  CHECK(*member.correction.factor(0) < 1.15);
}

TEST_CASE("beats of another plan, of stages that are another's and of none teach nothing") {
  Serving serving(2);
  const DeviceId device = serving.active().device_of(0);
  const auto say = [&](Epoch epoch, std::uint32_t stage) {
    Beat beat{.epoch = epoch};
    beat.work = {{.stage = stage, .row_class = 0, .steps = 1, .rows = 1, .context = 1, .seconds = 9}};
    for (int i = 0; i < 50; ++i) serving.hub.from(device, beat);
  };
  say(make_epoch(1, 999), 0);
  say(serving.active().epoch, 1);
  say(serving.active().epoch, 200);
  CHECK_FALSE(serving.hub.state->members.at(device).correction.factor(0));
  say(serving.active().epoch, 0);
  CHECK(serving.hub.state->members.at(device).correction.factor(0));
}

}  // namespace shoal
