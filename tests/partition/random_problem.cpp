#include "random_problem.h"

#include <cmath>
#include <string>

namespace shoal {
namespace {

double uniform(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
}
std::uint64_t whole(std::mt19937_64& random, std::uint64_t low, std::uint64_t high) {
  return low + random() % (high - low + 1);
}

// Wire (0.1 ms, 1 Gbit/s) to poor Wi-Fi (8 ms, 10 Mbit/s).
LinkProfile any_link(std::mt19937_64& random) {
  const double quality = uniform(random, 0, 1);
  return {1e-4 * std::pow(80.0, quality), 1.25e8 * std::pow(0.01, quality)};
}

}  // namespace

void add_random_device(PlanProblem& problem, std::mt19937_64& random, const ProblemShape& shape) {
  const std::size_t num_units = problem.units.size();
  std::uint64_t model_bytes = 0;
  for (const UnitShape& unit : problem.units) model_bytes += unit.weight_bytes + unit.kv_bytes;
  DeviceProfile device;
  device.name = "d" + std::to_string(problem.devices.size());
  double share = shape.tight_memory ? uniform(random, 0.1, 0.7) : uniform(random, 0.3, 2.0);
  if (shape.similar_devices) share = uniform(random, 0.2, 0.22);
  device.memory_bytes =
      static_cast<std::uint64_t>(share * static_cast<double>(model_bytes)) + problem.fixed_bytes;
  const std::uint64_t every = whole(random, 0, 300'000), layers = whole(random, 0, 2'000'000);
  const std::uint64_t head = whole(random, 0, 3'000'000);
  device.scratch = {every, every + layers, every + head, every + layers + head};
  if (shape.similar_devices) device.scratch = {100'000, 600'000, 900'000, 1'300'000};
  device.step_overhead = uniform(random, 0, 3e-4);
  const double speed = shape.similar_devices ? uniform(random, 1, 1.05) : uniform(random, 0.3, 4);
  for (std::size_t u = 0; u < num_units; ++u) {
    const bool same_as_first = u > 1 && u + 1 < num_units && problem.units[u].name == "alike";
    if (same_as_first) {
      device.units.push_back(device.units[1]);
      continue;
    }
    const double decode =
        static_cast<double>(problem.units[u].weight_bytes) * 1e-10 * uniform(random, 0.7, 1.4) / speed;
    device.units.push_back({decode, decode * uniform(random, 0.9, 12), decode * uniform(random, 0, 0.2)});
  }
  const auto random_link = [&] {
    return shape.similar_devices ? LinkProfile{uniform(random, 2e-4, 2.2e-4), 1.25e8} : any_link(random);
  };
  for (auto& row : problem.links) row.push_back(random_link());
  problem.devices.push_back(device);
  problem.links.emplace_back();
  for (std::size_t w = 0; w < problem.devices.size(); ++w) problem.links.back().push_back(random_link());
  problem.from_hub.push_back(random_link());
  problem.to_hub.push_back(random_link());
}

PlanProblem random_problem(std::uint64_t seed, const ProblemShape& shape) {
  std::mt19937_64 random(seed);
  PlanProblem problem;
  problem.fixed_bytes = whole(random, 0, 3'000'000);
  problem.context = uniform(random, 0, 2000);
  const bool tied = whole(random, 0, 1) == 1;
  const std::uint64_t hidden_bytes = whole(random, 1000, 20000);
  for (std::uint32_t u = 0; u < shape.num_layers + 2; ++u) {
    const bool is_end = u == 0 || u == shape.num_layers + 1;
    UnitShape unit;
    if (shape.uniform_layers && !is_end && u > 1) {
      unit = problem.units[1];
    } else {
      unit.weight_bytes = whole(random, is_end ? 5'000'000 : 1'000'000, is_end ? 40'000'000 : 8'000'000);
      unit.kv_bytes = is_end ? 0 : whole(random, 0, 2'000'000);
      unit.output_bytes =
          shape.uniform_layers || whole(random, 0, 2) > 0 ? hidden_bytes : whole(random, 100, 100'000);
      if (shape.uniform_layers && !is_end) unit.name = "alike";
    }
    problem.units.push_back(unit);
  }
  if (tied) {
    const std::uint64_t shared =
        std::min(problem.units.front().weight_bytes, problem.units.back().weight_bytes);
    problem.units.front().tied_group = problem.units.back().tied_group = 7;
    problem.units.front().tied_bytes = problem.units.back().tied_bytes = shared;
  }
  problem.num_streams = static_cast<std::uint32_t>(whole(random, 1, 40));
  if (whole(random, 0, 3) == 0) problem.rows_per_step = uniform(random, 0.5, 16);
  for (std::uint32_t v = 0; v < shape.num_devices; ++v) add_random_device(problem, random, shape);
  return problem;
}

namespace {

std::vector<UnitShape> cluster_units(std::mt19937_64& random, const ClusterShape& shape) {
  std::vector<UnitShape> units;
  const std::uint64_t layer = whole(random, 2'000'000, 6'000'000);
  const std::uint64_t head = layer * whole(random, 1, 8);
  const std::uint64_t hidden_bytes = whole(random, 2'000, 12'000);
  for (std::uint32_t u = 0; u < shape.num_layers + 2; ++u) {
    const bool is_end = u == 0 || u == shape.num_layers + 1;
    UnitShape unit{.weight_bytes = is_end ? head : layer, .output_bytes = hidden_bytes};
    if (!is_end) unit.kv_bytes = shape.uniform_layers || u % 6 == 0 ? layer / 5 : layer / 20;
    if (!is_end && !shape.uniform_layers) unit.weight_bytes += u % 6 == 0 ? layer / 7 : (u % 4) * layer / 40;
    units.push_back(unit);
  }
  return units;
}

DeviceProfile cluster_device(std::mt19937_64& random, const ClusterShape& shape,
                             const std::vector<UnitShape>& units) {
  const double fair_share = shape.total_memory / shape.num_devices;
  double model_bytes = 0;
  for (const UnitShape& unit : units) model_bytes += static_cast<double>(unit.weight_bytes + unit.kv_bytes);
  const double spread = shape.similar_devices ? 0.05 : 0.5;
  const double bytes_per_second =
      shape.similar_devices ? uniform(random, 5e9, 5.25e9) : uniform(random, 2e9, 2e10);
  DeviceProfile device;
  device.memory_bytes =
      static_cast<std::uint64_t>(fair_share * model_bytes * uniform(random, 1 - spread, 1 + spread));
  for (std::size_t u = 0; u < units.size(); ++u) {
    double seconds = static_cast<double>(units[u].weight_bytes) / bytes_per_second;
    if (u == 0) seconds = 2e-5;  // a row is looked up
    if (!shape.uniform_layers) seconds *= uniform(random, 0.95, 1.05);
    if (shape.uniform_layers && u > 1 && u + 1 < units.size()) seconds = device.units[1].decode;
    device.units.push_back({seconds, seconds, 0});
  }
  return device;
}

}  // namespace

PlanProblem random_cluster(std::uint64_t seed, const ClusterShape& shape) {
  std::mt19937_64 random(seed);
  PlanProblem problem;
  problem.units = cluster_units(random, shape);
  problem.context = 0;
  problem.rows_per_step = 1;
  problem.ring = shape.ring;
  for (std::uint32_t v = 0; v < shape.num_devices; ++v) {
    problem.devices.push_back(cluster_device(random, shape, problem.units));
    problem.devices.back().name = "d" + std::to_string(v);
    if (v < 2) {  // embedding and head must fit somewhere
      std::uint64_t& bytes = problem.devices.back().memory_bytes;
      bytes = std::max(bytes, problem.units.front().weight_bytes * 11 / 10);
    }
    problem.links.emplace_back();
    for (std::uint32_t w = 0; w < shape.num_devices; ++w) problem.links.back().push_back(any_link(random));
  }
  problem.from_hub = problem.links[0];
  for (const auto& row : problem.links) problem.to_hub.push_back(row[0]);
  problem.from_hub[0] = problem.to_hub[0] = {0, 1e12};
  return problem;
}

void add_random_rules(PlanProblem& problem, std::uint64_t seed) {
  std::mt19937_64 random(seed ^ 0x5EED);
  const std::uint64_t num_units = problem.units.size(), num_devices = problem.devices.size();
  const auto one_in = [&](std::uint64_t n) { return whole(random, 1, n) == 1; };
  problem.ring = static_cast<Ring>(whole(random, 0, 2));
  problem.ring_device = static_cast<std::uint32_t>(whole(random, 0, num_devices - 1));
  if (one_in(3)) {
    problem.pins.push_back({static_cast<std::uint32_t>(whole(random, 0, num_units - 1)),
                            static_cast<std::uint32_t>(whole(random, 0, num_devices - 1))});
  }
  problem.num_sequences = static_cast<std::uint32_t>(whole(random, 1, 3));
  const bool loads = one_in(2);
  if (loads) problem.expected_tokens = uniform(random, 10, 1000);
  for (UnitShape& unit : problem.units) unit.live_kv_bytes = whole(random, 0, 500'000);
  for (DeviceProfile& device : problem.devices) {
    if (one_in(4)) device.standby_bytes = whole(random, 0, 4'000'000);
    for (std::size_t u = 0; u < num_units && one_in(2); ++u) device.bans.push_back(one_in(6));
    device.bans.resize(device.bans.empty() ? 0 : num_units, false);
    for (std::size_t u = 0; u < num_units && loads; ++u)
      device.places.push_back(static_cast<UnitPlace>(whole(random, 0, 2)));
    device.disk_bytes_per_second = uniform(random, 2e7, 5e8);
    device.fetch_bytes_per_second = uniform(random, 1e6, 1e8);
  }
  for (auto& row : problem.links) {
    for (LinkProfile& link : row) link.closed = one_in(10);
  }
  for (LinkProfile& link : problem.from_hub) link.closed = one_in(10);
  for (LinkProfile& link : problem.to_hub) link.closed = one_in(10);
}

PlanProblem equal_devices(std::uint32_t num_devices, std::uint32_t num_layers) {
  PlanProblem problem;
  for (std::uint32_t u = 0; u < num_layers + 2; ++u) {
    problem.units.push_back({.weight_bytes = 4'000'000, .kv_bytes = 1'000'000, .output_bytes = 2304});
  }
  for (std::uint32_t v = 0; v < num_devices; ++v) {
    DeviceProfile device;
    device.name = "d" + std::to_string(v);
    device.memory_bytes = 1'000'000'000;
    device.scratch = {100'000, 100'000, 100'000, 100'000};
    device.units.assign(problem.units.size(), {1e-3, 8e-3, 1e-5});
    device.step_overhead = 5e-5;
    problem.devices.push_back(device);
  }
  problem.links.assign(num_devices, std::vector<LinkProfile>(num_devices, {2e-4, 1.25e8}));
  problem.from_hub.assign(num_devices, {2e-4, 1.25e8});
  problem.to_hub.assign(num_devices, {2e-4, 1.25e8});
  return problem;
}

PlanProblem relabelled(const PlanProblem& problem, const std::vector<std::uint32_t>& order) {
  PlanProblem result = problem;
  for (std::size_t v = 0; v < order.size(); ++v) {
    result.devices[order[v]] = problem.devices[v];
    result.from_hub[order[v]] = problem.from_hub[v];
    result.to_hub[order[v]] = problem.to_hub[v];
    for (std::size_t w = 0; w < order.size(); ++w) result.links[order[v]][order[w]] = problem.links[v][w];
  }
  return result;
}

}  // namespace shoal
