// Other systems' rules for splitting a model beside the planner's plans, on the same random clusters.
//   planner_rules [CLUSTERS]     1,000 unless told otherwise
// Prints, per rule, how many times as long as the planner's best plan its own plan takes: one stream's time
// per token, and the busiest device's or link's time. Ends with status 1 if a rule ever does better than a
// plan that is proven best.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "partition/cost.h"
#include "partition/planner.h"
#include "tests/partition/random_problem.h"

namespace shoal {
namespace {

using Stages = std::vector<PlannedStage>;
using Rule = std::function<std::optional<Stages>(const PlanProblem&, Objective)>;

std::uint32_t num_layers(const PlanProblem& problem) {
  return static_cast<std::uint32_t>(problem.units.size()) - 2;
}

double layer_seconds(const PlanProblem& problem, std::uint32_t v) {
  double seconds = 0;
  for (std::uint32_t u = 1; u <= num_layers(problem); ++u) seconds += problem.devices[v].units[u].decode;
  return seconds;
}

std::vector<std::uint32_t> all_devices(const PlanProblem& problem) {
  std::vector<std::uint32_t> devices(problem.devices.size());
  std::iota(devices.begin(), devices.end(), 0u);
  return devices;
}

// Layers in this order of devices, so many on each; the embedding goes with the first of them, the head with
// the last.
Stages in_order(const PlanProblem& problem, const std::vector<std::uint32_t>& order,
                const std::vector<std::uint32_t>& layers) {
  Stages stages;
  std::uint32_t next = 1;
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (layers[i] == 0) continue;
    stages.push_back({order[i], {next, next + layers[i]}});
    next += layers[i];
  }
  stages.front().units.begin = 0;
  stages.back().units.end = num_layers(problem) + 2;
  return stages;
}

// Layer i goes to the device in whose share of the whole its number falls.
std::vector<std::uint32_t> by_shares(std::uint32_t count, const std::vector<double>& shares,
                                     std::uint32_t parts) {
  const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<std::uint32_t> layers(shares.size(), 0);
  for (std::uint32_t layer = 0; layer < count; ++layer) {
    double end = 0;
    std::size_t v = 0;
    for (; v + 1 < shares.size(); ++v) {
      end += shares[v] / all;
      if (static_cast<double>(layer) / parts < end) break;
    }
    ++layers[v];
  }
  return layers;
}

std::vector<double> memory_of(const PlanProblem& problem, const std::vector<std::uint32_t>& order) {
  std::vector<double> shares;
  for (const std::uint32_t v : order) shares.push_back(static_cast<double>(problem.devices[v].memory_bytes));
  return shares;
}

// exo, "ring memory weighted partitioning": devices by memory, most first, in a ring; layers by their shares
// of it.
std::optional<Stages> by_memory_ring(const PlanProblem& problem, Objective) {
  std::vector<std::uint32_t> order = all_devices(problem);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return problem.devices[a].memory_bytes > problem.devices[b].memory_bytes;
  });
  return in_order(problem, order,
                  by_shares(num_layers(problem), memory_of(problem, order), num_layers(problem)));
}

// llama.cpp over RPC, its default: devices as they are listed, layers by free memory, the head counted as one
// more.
std::optional<Stages> by_free_memory(const PlanProblem& problem, Objective) {
  const std::vector<std::uint32_t> order = all_devices(problem);
  return in_order(problem, order,
                  by_shares(num_layers(problem), memory_of(problem, order), num_layers(problem) + 1));
}

// cake: devices as they are listed, layers by compute. It goes by nominal TFLOPS; here by the true speed.
std::optional<Stages> by_compute(const PlanProblem& problem, Objective) {
  const std::vector<std::uint32_t> order = all_devices(problem);
  std::vector<double> shares;
  for (const std::uint32_t v : order) shares.push_back(1 / layer_seconds(problem, v));
  return in_order(problem, order, by_shares(num_layers(problem), shares, num_layers(problem)));
}

// EdgeShard (Zhang et al. 2024, arXiv 2405.14371): a dynamic programme over (units placed, device of the last
// one), whose transition adds compute and transfer; the first unit stays on the source (device 0) and the
// result returns there. One best path is kept per state, and memory is that path's: what makes it miss plans,
// and return to a device. Its published throughput variant keeps sets of devices; here the same single state
// with the largest time instead of the sum.
std::optional<Stages> edgeshard(const PlanProblem& problem, Objective objective) {
  struct State {
    double cost = kNever;
    std::vector<std::uint32_t> devices;  // per unit
  };
  const auto join = [&](double a, double b) {
    return objective == Objective::Latency ? a + b : std::max(a, b);
  };
  const StageTimes times(problem, objective, 1.0);
  const auto num_units = static_cast<std::uint32_t>(problem.units.size());
  const auto num_devices = static_cast<std::uint32_t>(problem.devices.size());
  const auto bytes_of = [&](std::uint32_t u) {
    return problem.units[u].weight_bytes + problem.units[u].kv_bytes;
  };
  const auto busy_of = [&](const std::vector<std::uint32_t>& devices, std::uint32_t v, std::uint32_t unit) {
    double seconds = times.stage(v, unit, unit + 1);
    for (std::uint32_t u = 0; u < unit; ++u) seconds += devices[u] == v ? times.stage(v, u, u + 1) : 0;
    return seconds;
  };
  std::vector<State> states(num_devices);
  states[0] = {times.stage(0, 0, 1), {0}};
  for (std::uint32_t u = 1; u < num_units; ++u) {
    std::vector<State> next(num_devices);
    for (std::uint32_t v = 0; v < num_devices; ++v) {
      for (std::uint32_t k = 0; k < num_devices; ++k) {
        if (states[k].cost == kNever) continue;
        std::uint64_t held = bytes_of(u);
        for (std::uint32_t before = 0; before < u; ++before)
          held += states[k].devices[before] == v ? bytes_of(before) : 0;
        if (held > problem.devices[v].memory_bytes) continue;
        const double compute =
            objective == Objective::Latency ? times.stage(v, u, u + 1) : busy_of(states[k].devices, v, u);
        double cost = join(states[k].cost, compute);
        if (k != v) cost = join(cost, times.hop(k, v, u));
        if (cost >= next[v].cost) continue;
        next[v] = {cost, states[k].devices};
        next[v].devices.push_back(v);
      }
    }
    states = std::move(next);
  }
  const State* best = nullptr;
  double least = kNever;
  for (std::uint32_t v = 0; v < num_devices; ++v) {
    if (states[v].cost == kNever || join(states[v].cost, times.exit(v)) >= least) continue;
    least = join(states[v].cost, times.exit(v));
    best = &states[v];
  }
  if (!best) return std::nullopt;
  Stages stages;
  for (std::uint32_t u = 0; u < num_units; ++u) {
    if (stages.empty() || stages.back().device != best->devices[u])
      stages.push_back({best->devices[u], {u, u}});
    stages.back().units.end = u + 1;
  }
  return stages;
}

// prima.cpp's Halda (Li et al. 2025, arXiv 2504.08791): windows w on a ring of all devices in their order, k
// rounds with k (sum of w) = layers, every w at least 1, minimising k (sum of a w) with a = seconds of a
// layer: communication is a constant per device and drops out. Memory is met (the paper's model may also read
// weights from disk again for every token, which no plan here does). Without disk the objective is the same
// for every k, and k = 1 cuts finest: each device one layer, the rest to the fastest that have room. Device
// 0, the head of the ring, has embedding and head.
std::optional<Stages> prima_windows(const PlanProblem& problem, Objective) {
  const auto num_devices = static_cast<std::uint32_t>(problem.devices.size());
  const auto layer_bytes = [&](std::uint32_t first, std::uint32_t count) {
    std::uint64_t bytes = 0;
    for (std::uint32_t u = first; u < first + count; ++u)
      bytes += problem.units[u].weight_bytes + problem.units[u].kv_bytes;
    return bytes;
  };
  const std::uint64_t widest = layer_bytes(1, num_layers(problem)) / num_layers(problem) + 1;
  std::vector<std::uint64_t> room;
  for (const DeviceProfile& device : problem.devices) room.push_back(device.memory_bytes);
  const std::uint64_t ends = problem.units.front().weight_bytes + problem.units.back().weight_bytes;
  room[0] -= std::min(room[0], ends);
  if (num_layers(problem) < num_devices) return std::nullopt;
  std::vector<std::uint32_t> windows(num_devices, 1);
  std::uint32_t left = num_layers(problem) - num_devices;
  std::vector<std::uint32_t> fastest = all_devices(problem);
  std::stable_sort(fastest.begin(), fastest.end(), [&](std::uint32_t a, std::uint32_t b) {
    return layer_seconds(problem, a) < layer_seconds(problem, b);
  });
  for (const std::uint32_t v : fastest) {
    const auto fits =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(room[v] / widest, num_layers(problem)));
    if (fits == 0) return std::nullopt;
    const std::uint32_t more = std::min(left, fits - 1);
    windows[v] += more;
    left -= more;
  }
  if (left > 0) return std::nullopt;
  Stages stages = in_order(problem, all_devices(problem), windows);
  stages.back().units.end -= 1;
  stages.push_back({0, {num_layers(problem) + 1, num_layers(problem) + 2}});
  return stages;
}

struct Ratios {
  double sum = 0;
  double worst = 0;
  int count = 0;
  void add(double ratio) {
    sum += ratio;
    worst = std::max(worst, ratio);
    ++count;
  }
};

struct Row {
  std::string name;
  Rule rule;
  Ratios latency;
  Ratios bottleneck;
  int unfit = 0;  // of both objectives: no plan, or one that memory does not allow
};

double objective_of(const PlanProblem& problem, Objective objective, const Stages& stages) {
  return StageTimes(problem, objective, 1.0).plan(stages);
}

// Device 0 is the hub, and may close the ring for latency.
PlanProblem cluster_of(std::uint64_t seed) {
  const double memory[] = {1.4, 2, 3, 5};
  return random_cluster(seed, {.num_devices = 3 + static_cast<std::uint32_t>(seed % 8),
                               .num_layers = seed % 3 == 0 ? 18u : 30u,
                               .uniform_layers = seed % 3 != 0,
                               .total_memory = memory[seed / 8 % 4]});
}

// False if a rule's plan is better than one that is proven best.
bool compare(PlanProblem problem, std::vector<Row>& rows) {
  std::optional<double> best[2];
  for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
    problem.objective = objective;
    problem.ring = objective == Objective::Latency ? Ring::OneDevice : Ring::NoDevice;
    const Result<Plan> plan = make_plan(problem);
    if (!plan || !plan->optimal) return true;
    best[objective == Objective::Throughput] = objective_of(problem, objective, plan->stages);
  }
  bool none_better = true;
  for (Row& row : rows) {
    for (const Objective objective : {Objective::Latency, Objective::Throughput}) {
      const std::optional<Stages> stages = row.rule(problem, objective);
      if (!stages || !memory_allows(problem, *stages)) {
        ++row.unfit;
        continue;
      }
      const double ratio =
          objective_of(problem, objective, *stages) / *best[objective == Objective::Throughput];
      (objective == Objective::Latency ? row.latency : row.bottleneck).add(ratio);
      const bool one_run_each = num_distinct_devices(*stages) == stages->size();
      none_better = none_better && (ratio > 1 - 1e-9 || !one_run_each);
    }
  }
  return none_better;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) {
  using namespace shoal;
  const long clusters = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 1000;
  std::vector<Row> rows{{"memory, in a ring (exo)", by_memory_ring, {}, {}},
                        {"free memory (llama.cpp)", by_free_memory, {}, {}},
                        {"compute (cake)", by_compute, {}, {}},
                        {"EdgeShard's programme", edgeshard, {}, {}},
                        {"windows (prima.cpp)", prima_windows, {}, {}},
                        {"shoal",
                         [](const PlanProblem& problem, Objective objective) -> std::optional<Stages> {
                           PlanProblem own = problem;
                           own.objective = objective;
                           own.ring = objective == Objective::Latency ? Ring::OneDevice : Ring::NoDevice;
                           return make_plan(own)->stages;
                         },
                         {},
                         {}}};
  bool none_better = true;
  for (long i = 0; i < clusters; ++i)
    none_better = compare(cluster_of(static_cast<std::uint64_t>(i)), rows) && none_better;
  std::printf(
      "| rule | latency: mean | worst | busiest: mean | worst | plans that do not fit "
      "|\n|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    const int plans = row.latency.count + row.bottleneck.count + row.unfit;
    std::printf("| %s | %.2f | %.1f | %.2f | %.1f | %.0f %% |\n", row.name.c_str(),
                row.latency.sum / std::max(1, row.latency.count), row.latency.worst,
                row.bottleneck.sum / std::max(1, row.bottleneck.count), row.bottleneck.worst,
                100.0 * row.unfit / std::max(1, plans));
  }
  std::printf("%d clusters of %ld could hold the model\n", rows.back().latency.count, clusters);
  return none_better && rows.back().latency.count > 0 ? 0 : 1;
}
