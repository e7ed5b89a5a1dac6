#include "coordinator/plan_figures.h"

#include <doctest/doctest.h>

#include <cmath>

#include "coordinator/plan_builder.h"
#include "tests/coordinator/hub_fixture.h"

namespace shoal {
namespace {

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

// One token takes `unit` seconds a unit, links are free: what comes out can be told by hand.
PlanVersion plain_plan(std::size_t num_devices, std::uint32_t units_each, double unit) {
  PlanVersion version;
  const auto num_units = static_cast<std::uint32_t>(num_devices) * units_each;
  version.problem.units.resize(num_units);
  for (std::uint32_t v = 0; v < num_devices; ++v) {
    version.devices.push_back(DeviceId{v + 1});
    DeviceSpeed speed;
    speed.units.assign(num_units, {.batch1 = unit, .batch32 = 32 * unit, .chunk = 256 * unit});
    version.speeds.push_back(speed);
    version.plan.stages.push_back({v, {v * units_each, (v + 1) * units_each}});
  }
  const LinkProfile free{.latency = 0, .bytes_per_second = 1e15};
  version.problem.from_hub.assign(num_devices, free);
  version.problem.to_hub.assign(num_devices, free);
  version.problem.links.assign(num_devices, std::vector<LinkProfile>(num_devices, free));
  return version;
}

}  // namespace

TEST_CASE("at the planner's own context a token costs what the planner promised") {
  ClusterSettings settings;
  settings.min_stages = 3;
  ScriptedHub hub(tiny(), settings);
  for (int i = 1; i <= 3; ++i) hub.join("cam-" + std::to_string(i));
  REQUIRE(hub.serve());
  const PlanVersion& version = *hub.state->active;
  CHECK(predicted_token_seconds(version, version.problem.context) ==
        doctest::Approx(version.plan.prediction.seconds_per_token).epsilon(1e-9));
  CHECK(predicted_token_seconds(version, 0) < version.plan.prediction.seconds_per_token);
}

TEST_CASE("a prompt in chunks takes as long as a pipeline of them") {
  constexpr double kUnit = 1e-4;
  for (const std::size_t devices : {1, 2, 4}) {
    for (const std::uint32_t chunks : {1u, 2u, 5u, 9u}) {
      CAPTURE(devices);
      CAPTURE(chunks);
      const PlanVersion version = plain_plan(devices, 5, kUnit);
      const double stage = 5 * 256 * kUnit;
      // The head of the last unit answers one row of the last chunk, and none of those before.
      const double last_stage = 4 * 256 * kUnit;
      const double expected =
          devices == 1 ? chunks * last_stage + kUnit
                       : (static_cast<double>(devices) - 1 + chunks - 1) * stage + last_stage + kUnit;
      CHECK(predicted_first_token_seconds(version, 256 * chunks, 256) ==
            doctest::Approx(expected).epsilon(1e-9));
    }
  }
}

TEST_CASE("slow links hold up a prompt by its bytes, and one after the other") {
  PlanVersion version = plain_plan(2, 5, 1e-9);
  version.problem.units[4].output_bytes = 1000;
  version.problem.links[0][1] = {.latency = 0.5, .bytes_per_second = 1e6};
  CHECK(predicted_first_token_seconds(version, 256 * 3, 256) ==
        doctest::Approx(0.5 + 3 * 0.256).epsilon(1e-3));
}

TEST_CASE("streams together are held up by the busiest device, or by the way round") {
  const PlanVersion version = plain_plan(2, 5, 1e-3);
  // One micro-batch: nothing overlaps. Two: both devices are always busy. More bring nothing.
  CHECK(predicted_tokens_per_second(version, 1, 1, 0) == doctest::Approx(100));
  CHECK(predicted_tokens_per_second(version, 2, 1, 0) == doctest::Approx(200));
  CHECK(predicted_tokens_per_second(version, 4, 1, 0) == doctest::Approx(200));
  CHECK(predicted_tokens_per_second(version, 4, 4, 0) == doctest::Approx(100));  // no cheaper together here
  PlanVersion far = version;
  far.problem.links[0][1].latency = 0.09;
  CHECK(predicted_tokens_per_second(far, 2, 1, 0) == doctest::Approx(20));
}

TEST_CASE("an error is told of what was measured, and of nothing where nothing was") {
  CHECK_FALSE(Figure{.predicted = 2}.error_percent());
  CHECK(*Figure{.predicted = 8, .measured = 10}.error_percent() == doctest::Approx(20));
  CHECK(*Figure{.predicted = 12, .measured = 10}.error_percent() == doctest::Approx(-20));
}

TEST_CASE("each stage is predicted for the very steps that were measured") {
  ClusterSettings settings;
  settings.min_stages = 2;
  ScriptedHub hub(tiny(), settings);
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const PlanVersion& version = *hub.state->active;
  const Range units = version.plan.stages[0].units;
  Beat beat{.epoch = version.epoch};
  beat.work = {{.stage = 0, .row_class = 0, .steps = 2, .rows = 2, .context = 500, .seconds = 0.002},
               {.stage = 0, .row_class = 3, .steps = 1, .rows = 100, .context = 4950, .seconds = 0.03}};
  hub.from(version.device_of(0), beat);
  const PlanFigures figures = plan_figures(*hub.state);
  REQUIRE(figures.stages.size() == 2);
  REQUIRE(figures.stages[0].sizes.size() == 2);
  const SizedFigure& one = figures.stages[0].sizes[0];
  CHECK(*one.seconds.measured == doctest::Approx(0.001));
  CHECK(one.seconds.predicted == doctest::Approx(units.size() * (1e-4 + 1e-6 * 0.25)));
  const SizedFigure& many = figures.stages[0].sizes[1];
  CHECK(many.visit.rows == 100);
  CHECK(many.seconds.predicted == doctest::Approx(units.size() * (1e-3 + 68 * 4e-3 / 224)).epsilon(1e-4));
  CHECK(figures.stages[1].sizes.size() == 1);
  CHECK_FALSE(figures.stages[1].sizes[0].seconds.measured);
  CHECK(figures.hops.size() == 3);
  CHECK(figures.hops[0].from == kHub);
  CHECK(figures.hops[2].to == kHub);
}

}  // namespace shoal
