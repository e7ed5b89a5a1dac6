#include "partition/prediction.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "partition/cost.h"
#include "partition/planner.h"
#include "random_problem.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

// Chunks pass resources in turn, each of which serves one at a time: when chunk j leaves resource i,
// max-plus.
double slow_first_token(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  const std::uint32_t chunk = problem.chunk_tokens == 0 ? problem.prompt_tokens : problem.chunk_tokens;
  std::vector<std::uint32_t> rows;
  for (std::uint32_t left = problem.prompt_tokens; left > 0; left -= rows.back())
    rows.push_back(std::min(left, chunk));
  const std::uint32_t head = static_cast<std::uint32_t>(problem.units.size()) - 1;
  const auto stage_time = [&](std::size_t i, std::size_t j) {
    const DeviceProfile& device = problem.devices[stages[i].device];
    double seconds = device.step_overhead;
    for (std::uint32_t u = stages[i].units.begin; u < stages[i].units.end; ++u) {
      const UnitCost& cost = device.units[u];
      const double before = static_cast<double>(j) * chunk;
      if (u == head) {
        if (j + 1 == rows.size()) seconds += cost.decode + (before + rows[j]) * cost.per_1k_context / 1000;
      } else {
        seconds += cost.decode + std::max(0.0, cost.batch32 - cost.decode) / 31 * (rows[j] - 1);
        seconds += rows[j] * (before + rows[j] / 2.0) * cost.per_1k_context / 1000;
      }
    }
    return seconds;
  };
  // Resources: hop 0, stage 0, hop 1, stage 1, ..., the hop back.
  std::vector<double> free(2 * stages.size() + 1, 0.0);
  double at = 0;
  for (std::size_t j = 0; j < rows.size(); ++j) {
    at = 0;
    for (std::size_t i = 0; i <= stages.size(); ++i) {
      const LinkProfile& link = i == 0               ? problem.from_hub[stages[0].device]
                                : i == stages.size() ? problem.to_hub[stages.back().device]
                                                     : problem.links[stages[i - 1].device][stages[i].device];
      const double bytes =
          i == 0 ? rows[j] * static_cast<double>(problem.input_bytes)
          : i == stages.size()
              ? static_cast<double>(problem.result_bytes)
              : rows[j] * static_cast<double>(problem.units[stages[i].units.begin - 1].output_bytes);
      free[2 * i] = std::max(free[2 * i], at) + bytes / link.bytes_per_second;
      at = free[2 * i] + link.latency;
      if (i == stages.size()) break;
      free[2 * i + 1] = std::max(free[2 * i + 1], at) + stage_time(i, j);
      at = free[2 * i + 1];
    }
  }
  return at;
}

std::vector<PlannedStage> some_stages(const PlanProblem& problem, std::mt19937_64& random) {
  const auto num_units = static_cast<std::uint32_t>(problem.units.size());
  std::vector<PlannedStage> stages;
  std::uint32_t begin = 0;
  for (std::uint32_t v = 0; v < problem.devices.size() && begin < num_units; ++v) {
    const bool last = v + 1 == problem.devices.size();
    const std::uint32_t end =
        last ? num_units : begin + 1 + static_cast<std::uint32_t>(random() % (num_units - begin));
    stages.push_back({v, {begin, end}});
    begin = end;
  }
  return stages;
}

}  // namespace

TEST_CASE("the time to the first token is that of chunks which queue for devices and links") {
  for (std::uint64_t seed = 1; seed <= 300; seed += kCaseStride) {
    CAPTURE(seed);
    PlanProblem problem =
        random_problem(seed, {.num_devices = 1 + static_cast<std::uint32_t>(seed % 5), .num_layers = 6});
    std::mt19937_64 random(seed);
    problem.prompt_tokens = 1 + static_cast<std::uint32_t>(random() % 700);
    problem.chunk_tokens = seed % 4 == 0 ? 0 : 1 + static_cast<std::uint32_t>(random() % 200);
    const std::vector<PlannedStage> stages = some_stages(problem, random);
    const Result<Prediction> prediction = predict(problem, stages);
    REQUIRE(prediction);
    CHECK(prediction->time_to_first_token ==
          doctest::Approx(slow_first_token(problem, stages)).epsilon(1e-9));
  }
}

TEST_CASE("equal chunks take the pipeline's closed form") {
  PlanProblem problem = equal_devices(4, 14);
  for (DeviceProfile& device : problem.devices) {
    for (UnitCost& cost : device.units) cost.per_1k_context = 0;
    device.units.back() = {0, 0, 0};
  }
  for (UnitCost& cost : problem.devices[2].units) cost.decode *= 2, cost.batch32 *= 2;
  problem.devices[2].units.back() = {0, 0, 0};
  problem.prompt_tokens = 512;
  problem.chunk_tokens = 64;
  const std::vector<PlannedStage> stages{{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}, {3, {12, 16}}};
  const double slow = 2 * 4 * (1e-3 + 63 * 7e-3 / 31) + 5e-5;
  const double quick = 4 * (1e-3 + 63 * 7e-3 / 31) + 5e-5;
  const double quickest = 3 * (1e-3 + 63 * 7e-3 / 31) + 5e-5;
  const double hops = 3 * (2e-4 + 64 * 2304 / 1.25e8) + 2e-4 + 64 * 256 / 1.25e8 + 2e-4 + 1024 / 1.25e8;
  CHECK(predict(problem, stages)->time_to_first_token ==
        doctest::Approx(2 * quick + slow + quickest + hops + 7 * slow).epsilon(1e-6));
  problem.prompt_tokens = 0;
  CHECK(predict(problem, stages)->time_to_first_token == 0);
  problem.prompt_tokens = 1u << 31;
  problem.chunk_tokens = 1;
  CHECK(predict(problem, stages).error().code() == ErrorCode::InvalidArgument);
}

TEST_CASE("a device that closes the ring works on one chunk at a time") {
  PlanProblem problem = equal_devices(2, 6);
  problem.prompt_tokens = 256;
  problem.chunk_tokens = 32;
  const double ring = predict(problem, {{0, {0, 3}}, {1, {3, 4}}, {0, {4, 8}}})->time_to_first_token;
  // Device 0 is busy with all it has to do for every chunk; apart, its two stages would overlap.
  double busy = 0;
  for (int chunk = 0; chunk < 8; ++chunk) busy += 6 * (8e-3) + 2 * 5e-5;
  CHECK(ring >= busy);
  CHECK(ring <= busy * 1.5);
}

TEST_CASE("the rate of several streams is what their micro-batches allow") {
  PlanProblem problem = equal_devices(3, 10);
  problem.num_streams = 6;
  problem.context = 0;
  const std::vector<PlannedStage> stages{{0, {0, 4}}, {1, {4, 8}}, {2, {8, 12}}};
  const StreamRate rate = stream_rate(problem, stages);
  double best = 0;
  for (int m = 1; m <= 5; ++m) {
    const double rows = 6.0 / m;
    const double stage = 4 * (1e-3 + (rows - 1) * 7e-3 / 31) + 5e-5;
    const double hops =
        2 * (2e-4 + rows * 2304 / 1.25e8) + 2e-4 + rows * 256 / 1.25e8 + 2e-4 + rows * 1024 / 1.25e8;
    best = std::max(best, 6 / std::max(m * stage, 3 * stage + hops));
  }
  CHECK(rate.tokens_per_second == doctest::Approx(best).epsilon(1e-9));
  CHECK(rate.num_micro_batches >= 3);
  problem.num_streams = 1;
  CHECK(stream_rate(problem, stages).tokens_per_second ==
        doctest::Approx(1 / predict(problem, stages)->seconds_per_token).epsilon(1e-9));
}

TEST_CASE("what must be loaded is told, and is no part of the time per token") {
  PlanProblem problem = equal_devices(2, 2);
  for (DeviceProfile& device : problem.devices) {
    device.disk_bytes_per_second = 4e6;
    device.fetch_bytes_per_second = 1e6;
  }
  for (UnitShape& unit : problem.units) unit.live_kv_bytes = 500'000;
  problem.devices[0].places = {UnitPlace::InMemory, UnitPlace::OnDisk, UnitPlace::Nowhere,
                               UnitPlace::Nowhere};
  const std::vector<PlannedStage> stages{{0, {0, 3}}, {1, {3, 4}}};
  const double seconds = predict(problem, stages)->seconds_per_token;
  CHECK(predict(problem, stages)->load_seconds == 0);
  problem.expected_tokens = 100;
  CHECK(predict(problem, stages)->seconds_per_token == seconds);
  // Device 0: unit 1 from disk and its KV, unit 2 and its KV fetched.
  CHECK(predict(problem, stages)->load_seconds == doctest::Approx(1.0 + 0.5 + 4.0 + 0.5));
}

TEST_CASE("a plan is left only where the gain outweighs the loading") {
  PlanProblem problem = equal_devices(2, 10);
  for (DeviceProfile& device : problem.devices) device.fetch_bytes_per_second = 4e6;
  problem.devices[0].places.assign(12, UnitPlace::InMemory);
  for (UnitCost& cost : problem.devices[1].units) cost.decode *= 0.8;
  // Device 1 saves 2.4 ms a token and must load 12 s.
  for (const double tokens : {1000.0, 4500.0}) {
    problem.expected_tokens = tokens;
    CHECK(make_plan(problem)->stages == std::vector<PlannedStage>{{0, {0, 12}}});
  }
  problem.expected_tokens = 5500;
  CHECK(make_plan(problem)->stages == std::vector<PlannedStage>{{1, {0, 12}}});
}

}  // namespace shoal
