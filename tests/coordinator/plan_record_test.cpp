#include "coordinator/plan_record.h"

#include <doctest/doctest.h>

#include <numeric>

#include "tests/support/random.h"

namespace shoal {
namespace {

// Three devices around a hub, each with a clock that is off by seconds, in a pipeline of three stages.
struct Clocks {
  std::vector<double> offset{0, 12.5, -3.25, 700};  // the hub's first
  std::size_t num_hops() const { return offset.size(); }
  // What two clocks say of a hop that took so long.
  double transit(std::size_t hop, double took) const {
    const double sent = offset[hop];
    const double came = offset[(hop + 1) % offset.size()];
    return took + came - sent;
  }
};

void add_step(PlanRecord& record, const Clocks& clocks, const std::vector<double>& hops, Time now) {
  for (std::uint32_t stage = 0; stage < 3; ++stage) {
    const double transit = clocks.transit(stage, hops[stage]);
    record.add_work({.stage = stage,
                     .row_class = 0,
                     .steps = 1,
                     .rows = 1,
                     .wanted_rows = 1,
                     .context = 100,
                     .seconds = 0.01 * (stage + 1),
                     .idle_steps = 1,
                     .hand_over_seconds = 1e-4,
                     .transit_seconds = transit,
                     .least_transit_seconds = transit},
                    now);
  }
  record.add_return({.rows = 1, .wanted_rows = 1, .context = 100}, clocks.transit(3, hops[3]), now);
}

}  // namespace

TEST_CASE("stages are told by size of step, with the mean step that took the time") {
  PlanRecord record;
  record.begin(2);
  CHECK_FALSE(record.stage(1, 0));
  const Time now{std::chrono::seconds(1)};
  record.add_work({.stage = 1, .row_class = 0, .steps = 4, .rows = 4, .context = 400, .seconds = 0.04}, now);
  record.add_work({.stage = 1, .row_class = 3, .steps = 2, .rows = 200, .context = 20000, .seconds = 0.5},
                  now);
  const auto one = record.stage(1, 0);
  REQUIRE(one);
  CHECK(one->steps == 4);
  CHECK(one->seconds == doctest::Approx(0.01));
  CHECK(one->visit.rows == 1);
  CHECK(one->visit.context == doctest::Approx(100));
  const auto many = record.stage(1, 3);
  REQUIRE(many);
  CHECK(many->visit.rows == 100);
  CHECK(many->seconds == doctest::Approx(0.25));
  CHECK_FALSE(record.stage(0, 0));
  record.begin(2);
  CHECK_FALSE(record.stage(1, 0));
}

TEST_CASE("hops are told in spite of clocks that differ: their sum exactly, each by its probe") {
  const Clocks clocks;
  const std::vector<double> probed{1e-3, 2e-3, 3e-3, 4e-3};
  SUBCASE("hops are as their probes say") {
    PlanRecord record;
    record.begin(3);
    for (int i = 0; i < 20; ++i) add_step(record, clocks, probed, Time{std::chrono::seconds(i)});
    for (std::size_t hop = 0; hop < 4; ++hop)
      CHECK(record.hop(hop, 0, probed)->seconds == doctest::Approx(probed[hop]).epsilon(1e-6));
  }
  SUBCASE("every hop costs something that no probe sees") {
    PlanRecord record;
    record.begin(3);
    std::vector<double> real = probed;
    for (double& hop : real) hop += 5e-4;
    for (int i = 0; i < 20; ++i) add_step(record, clocks, real, Time{std::chrono::seconds(i)});
    for (std::size_t hop = 0; hop < 4; ++hop)
      CHECK(record.hop(hop, 0, probed)->seconds == doctest::Approx(real[hop]).epsilon(1e-6));
  }
  SUBCASE("one link is crowded most of the time") {
    PlanRecord record;
    record.begin(3);
    Random random(9);
    for (int i = 0; i < 200; ++i) {
      std::vector<double> real = probed;
      if (random.below(4) != 0) real[1] += 10e-3;
      add_step(record, clocks, real, Time{std::chrono::milliseconds(100 * i)});
    }
    CHECK(record.hop(1, 0, probed)->seconds > 6e-3);
    CHECK(record.hop(0, 0, probed)->seconds == doctest::Approx(probed[0]).epsilon(1e-6));
    CHECK(record.hop(2, 0, probed)->seconds == doctest::Approx(probed[2]).epsilon(1e-6));
  }
  SUBCASE("the sum is that of all hops, however wrong the probes are") {
    PlanRecord record;
    record.begin(3);
    const std::vector<double> real{2e-3, 9e-3, 1e-3, 3e-3};
    for (int i = 0; i < 20; ++i) add_step(record, clocks, real, Time{std::chrono::seconds(i)});
    double sum = 0;
    for (std::size_t hop = 0; hop < 4; ++hop) sum += record.hop(hop, 0, probed)->seconds;
    CHECK(sum == doctest::Approx(15e-3).epsilon(1e-6));
  }
}

TEST_CASE("clocks that drift apart do not make hops grow") {
  Clocks clocks;
  const std::vector<double> probed{1e-3, 1e-3, 1e-3, 1e-3};
  PlanRecord record;
  record.begin(3);
  for (int i = 0; i < 6000; ++i) {   // ten minutes
    clocks.offset[2] += 0.1 * 5e-6;  // five millionths fast
    add_step(record, clocks, probed, Time{std::chrono::milliseconds(100 * i)});
  }
  for (std::size_t hop = 0; hop < 4; ++hop)
    CHECK(record.hop(hop, 0, probed)->seconds == doctest::Approx(1e-3).epsilon(0.35));
}

TEST_CASE("between stages of one device there is no link, and its clock is its own") {
  PlanRecord record;
  record.begin(3);
  const Clocks same{.offset = {0, 5, 5, 9}};
  const std::vector<double> real{1e-3, 1e-6, 2e-3, 3e-3};
  const std::vector<double> probed{1e-3, -1, 2e-3, 3e-3};
  for (int i = 0; i < 20; ++i) add_step(record, same, real, Time{std::chrono::seconds(i)});
  for (std::size_t hop = 0; hop < 4; ++hop)
    CHECK(record.hop(hop, 0, probed)->seconds == doctest::Approx(real[hop]).epsilon(1e-3));
}

}  // namespace shoal
