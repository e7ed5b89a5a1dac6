#include "partition/cost.h"

#include <algorithm>

namespace shoal {
namespace {

// The step's time at `rows` rows, linear through the two measured points.
double unit_seconds(const UnitCost& cost, double rows, double context) {
  const double slope = std::max(0.0, cost.batch32 - cost.decode) / 31.0;
  return cost.decode + slope * (rows - 1) + rows * cost.per_1k_context * context / 1000.0;
}

}  // namespace

double load_seconds(const PlanProblem& problem, std::uint32_t device, std::uint32_t unit) {
  const DeviceProfile& profile = problem.devices[device];
  const UnitPlace place = profile.places.empty() ? UnitPlace::Nowhere : profile.places[unit];
  if (place == UnitPlace::InMemory) return 0;
  const double weights = static_cast<double>(problem.units[unit].weight_bytes);
  const double rate =
      place == UnitPlace::OnDisk ? profile.disk_bytes_per_second : profile.fetch_bytes_per_second;
  return weights / rate +
         static_cast<double>(problem.units[unit].live_kv_bytes) / profile.fetch_bytes_per_second;
}

StageTimes::StageTimes(const PlanProblem& problem, Objective objective, double rows, Loading loading)
    : objective_(objective),
      num_units_(static_cast<std::uint32_t>(problem.units.size())),
      num_devices_(problem.devices.size()),
      prefix_(num_devices_ * (num_units_ + std::size_t{1}), 0.0),
      links_(num_devices_ * num_devices_) {
  // Latency with many rows is what one micro-batch meets on its way; Throughput shares each visit among its
  // rows.
  const double step_rows = std::max(1.0, rows);
  const double share = sums() ? 1.0 : 1.0 / rows;
  const double bytes_rows = sums() ? step_rows : 1.0;
  const bool loads = loading == Loading::Counted && problem.expected_tokens > 0;
  const auto link_of = [&](const LinkProfile& link) {
    if (link.closed) return Link{kNever, 0};
    return Link{sums() ? link.latency : 0.0, bytes_rows / link.bytes_per_second};
  };
  for (const UnitShape& unit : problem.units) output_bytes_.push_back(static_cast<double>(unit.output_bytes));
  for (std::uint32_t v = 0; v < num_devices_; ++v) {
    const DeviceProfile& device = problem.devices[v];
    double* sum = &prefix_[v * (num_units_ + std::size_t{1})];
    for (std::uint32_t u = 0; u < num_units_; ++u) {
      const double load = loads ? load_seconds(problem, v, u) / problem.expected_tokens : 0;
      sum[u + 1] = sum[u] + share * unit_seconds(device.units[u], step_rows, problem.context) + load;
    }
    overhead_.push_back(share * device.step_overhead);
    const Link in = link_of(problem.from_hub[v]);
    const Link out = link_of(problem.to_hub[v]);
    entry_.push_back(in.latency + static_cast<double>(problem.input_bytes) * in.seconds_per_byte);
    exit_.push_back(out.latency + static_cast<double>(problem.result_bytes) * out.seconds_per_byte);
    for (std::size_t w = 0; w < num_devices_; ++w) {
      if (w != v) links_[v * num_devices_ + w] = link_of(problem.links[v][w]);
    }
  }
}

StageTimes StageTimes::nothing(const PlanProblem& problem) {
  StageTimes times(problem, Objective::Latency, 1.0);
  const auto clear = [](std::vector<double>& seconds) {
    for (double& s : seconds) s = s == kNever ? kNever : 0;
  };
  clear(times.prefix_), clear(times.overhead_), clear(times.entry_), clear(times.exit_);
  for (Link& link : times.links_) link = {link.latency == kNever ? kNever : 0, 0};
  return times;
}

double StageTimes::plan(std::span<const PlannedStage> stages) const {
  double total = join(entry(stages.front().device), exit(stages.back().device));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto [device, units] = stages[i];
    if (i > 0) total = join(total, hop(stages[i - 1].device, device, units.begin));
    double seconds = 0;
    for (std::size_t j = sums() ? i : 0; j <= i; ++j) {
      if (stages[j].device == device) seconds += stage(device, stages[j].units.begin, stages[j].units.end);
    }
    total = join(total, seconds);
  }
  return total;
}

double rows_per_step(const PlanProblem& problem, std::size_t num_devices) {
  if (problem.rows_per_step > 0) return problem.rows_per_step;
  return static_cast<double>(std::max<std::uint32_t>(1, problem.num_streams)) /
         static_cast<double>(num_devices);
}

std::size_t num_distinct_devices(std::span<const PlannedStage> stages) {
  std::vector<std::uint32_t> devices;
  for (const PlannedStage& stage : stages) devices.push_back(stage.device);
  std::sort(devices.begin(), devices.end());
  return static_cast<std::size_t>(std::unique(devices.begin(), devices.end()) - devices.begin());
}

const StageTimes& ObjectiveTimes::for_devices(std::size_t num_devices) {
  const bool latency = problem_.objective != Objective::Throughput;
  std::optional<StageTimes>& times = times_[latency ? 0 : num_devices];
  if (!times)
    times.emplace(problem_, problem_.objective, latency ? 1.0 : rows_per_step(problem_, num_devices));
  return *times;
}

}  // namespace shoal
