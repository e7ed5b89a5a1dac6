#include "coordinator/device_speed.h"

#include <doctest/doctest.h>

#include "coordinator/plan_builder.h"
#include "coordinator/plan_problem.h"
#include "partition/cost.h"
#include "tests/coordinator/hub_fixture.h"
#include "tests/support/random.h"

namespace shoal {
namespace {

const TinyModel& gemma() {
  static const TinyModel model{7, TinyModelOptions::for_architecture(Architecture::Gemma3)};
  return model;
}

ProfileReport random_profile(const ServedModel& model, Random& random) {
  ProfileReport report{.model = model.hash, .units = {}, .read_bytes_per_second = 1e10};
  for (const std::uint32_t unit : representative_units(model)) {
    const double one = 1e-4 * (1 + random.uniform());
    report.units.push_back({.unit = unit,
                            .seconds_batch1 = one,
                            .seconds_batch32 = one * (2 + random.uniform()),
                            .seconds_per_1k_context = one * random.uniform(),
                            .seconds_chunk = one * (20 + random.uniform()),
                            .chunk_seconds_per_1k_context = one * random.uniform()});
  }
  return report;
}

DeviceSpeed speed_of(const ServedModel& model, const ProfileReport& report) {
  return speed_from(report, representatives_of(model), model.config, {});
}

}  // namespace

TEST_CASE("up to 32 rows a visit costs what the planner says of it") {
  Random random(11);
  ScriptedHub hub(gemma());
  hub.join("cam-1");
  hub.run_for(std::chrono::seconds(1));
  Member& member = hub.state->members.at(DeviceId{1});
  const std::uint32_t num_units = hub.state->model.config.num_units();
  for (int i = 0; i < 20; ++i) {
    member.profile = random_profile(hub.state->model, random);
    member.profile->hand_over_seconds = 1e-5;
    const KvBudget kv = kv_budget_for(*hub.state, 512);
    const StatedProblem stated = state_problem(*hub.state, {DeviceId{1}}, kv);
    const auto rows = static_cast<double>(1 + random.below(32));
    const auto begin = static_cast<std::uint32_t>(random.below(num_units - 1));
    const Range units{begin, begin + 1 + static_cast<std::uint32_t>(random.below(num_units - begin))};
    const double planned =
        StageTimes(stated.problem, Objective::Latency, rows).stage(0, units.begin, units.end);
    const Visit visit{.rows = rows, .wanted_rows = rows, .context = stated.problem.context};
    CHECK(stated.speeds[0].hand_over + compute_seconds(stated.speeds[0], units, visit) ==
          doctest::Approx(planned).epsilon(1e-9));
  }
}

TEST_CASE(
    "a chunk is what was measured, smaller ones lie between it and a batch, deeper ones add attention") {
  Random random(12);
  const ServedModel model = served(gemma());
  const ProfileReport report = random_profile(model, random);
  const DeviceSpeed speed = speed_of(model, report);
  std::uint32_t unlimited = 0;
  std::uint32_t windowed = 0;
  for (std::uint32_t unit = 1; unit <= model.config.num_layers; ++unit)
    (speed.units[unit].window == 0 ? unlimited : windowed) = unit;
  REQUIRE(unlimited > 0);
  REQUIRE(windowed > 0);
  const auto chunk_at = [&](std::uint32_t unit, double rows, double before) {
    return compute_seconds(speed, {unit, unit + 1},
                           {.rows = rows, .wanted_rows = 0, .context = before + rows / 2});
  };
  const UnitSpeed& deep = speed.units[unlimited];
  CHECK(chunk_at(unlimited, 256, 0) == doctest::Approx(deep.chunk));
  CHECK(chunk_at(unlimited, 144, 0) == doctest::Approx((deep.batch32 + deep.chunk) / 2));
  CHECK(chunk_at(unlimited, 256, 1000) == doctest::Approx(deep.chunk + 256 * deep.chunk_per_1k_context));
  const UnitSpeed& local = speed.units[windowed];
  const double far = chunk_at(windowed, 64, 1000);
  CHECK(far == doctest::Approx(chunk_at(windowed, 64, 5000)));  // behind the window there is nothing
  CHECK(far >= chunk_at(windowed, 64, 0));
  CHECK(local.window > 0);
  const Visit last_row{.rows = 256, .wanted_rows = 1, .context = 128};
  const std::uint32_t head = model.config.head_unit();
  CHECK(compute_seconds(speed, {head, head + 1}, last_row) == doctest::Approx(speed.units[head].batch1));
}

TEST_CASE("a visit is judged by all rows of its groups and their positions") {
  const std::vector<RowGroup> groups = {
      {.sequence = SequenceId{1}, .first_position = 10, .num_rows = 3, .flags = kWantsLastRow},
      {.sequence = SequenceId{2}, .first_position = 99, .num_rows = 1, .flags = kWantsLastRow},
      {.sequence = SequenceId{3}, .num_rows = 0, .flags = kCloses}};
  const Visit visit = visit_of(groups);
  CHECK(visit.rows == 4);
  CHECK(visit.wanted_rows == 2);
  CHECK(visit.context == doctest::Approx((10 + 11 + 12 + 99) / 4.0));
}

TEST_CASE("a correction holds for its size of steps and stands in for sizes that were not seen") {
  SpeedCorrection correction;
  CHECK_FALSE(correction.factor(0));
  for (int i = 0; i < 20; ++i) correction.add(row_class_of(20), 1.5);
  for (std::uint32_t c = 0; c < kNumRowClasses; ++c) CHECK(*correction.factor(c) == doctest::Approx(1.5));
  for (int i = 0; i < 20; ++i) correction.add(row_class_of(1), 1.1);
  CHECK(*correction.factor(row_class_of(1)) == doctest::Approx(1.1));
  CHECK(*correction.factor(row_class_of(4)) == doctest::Approx(1.1));
  CHECK(*correction.factor(row_class_of(32)) == doctest::Approx(1.5));
  CHECK(*correction.factor(row_class_of(300)) == doctest::Approx(1.5));
}

}  // namespace shoal
