#include "partition/cost.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "partition/planner.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

// Adds units one by one; a tied group counts its largest member's shared bytes once.
class MemorySum {
 public:
  void add(const UnitShape& unit) {
    need_.weights += unit.weight_bytes;
    need_.kv += unit.kv_bytes;
    if (unit.tied_group != 0) share(unit);
  }
  const MemoryNeed& need() const { return need_; }

 private:
  void share(const UnitShape& unit) {
    for (auto& [group, bytes] : shared_) {
      if (group != unit.tied_group) continue;
      need_.weights -= std::min(bytes, unit.tied_bytes);
      bytes = std::max(bytes, unit.tied_bytes);
      return;
    }
    shared_.emplace_back(unit.tied_group, unit.tied_bytes);
  }

  MemoryNeed need_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> shared_;
};

// The step's time at `rows` rows without context, linear through the two measured points.
double unit_seconds(const UnitCost& cost, double rows, double context) {
  const double slope = std::max(0.0, cost.batch32 - cost.decode) / 31.0;
  return cost.decode + slope * (rows - 1) + rows * cost.per_1k_context * context / 1000.0;
}

// All tokens of k streams pass in m micro-batches: the period is the busiest device's or link's m visits or
// one micro-batch's whole way round, whichever is longer. m in [1, devices + 2], at most k.
void predict_period(const PlanProblem& problem, std::span<const PlannedStage> stages,
                    Prediction& prediction) {
  const auto k = std::max<std::uint32_t>(1, problem.num_streams);
  const std::size_t most = std::min<std::size_t>(k, num_distinct_devices(stages) + 2);
  for (std::size_t m = 1; m <= most; ++m) {
    const double rows = static_cast<double>(k) / static_cast<double>(m);
    const double busy =
        StageTimes(problem, Objective::Throughput, rows).plan(stages) * rows * static_cast<double>(m);
    const double round = StageTimes(problem, Objective::Latency, rows).plan(stages);
    const double tokens_per_second = k / std::max({busy, round, 1e-12});
    if (tokens_per_second > prediction.tokens_per_second) {
      prediction.tokens_per_second = tokens_per_second;
      prediction.num_micro_batches = static_cast<std::uint32_t>(m);
    }
  }
}

std::vector<std::uint64_t> device_memory(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  std::vector<std::vector<Range>> held(problem.devices.size());
  for (const PlannedStage& stage : stages) held[stage.device].push_back(stage.units);
  std::vector<std::uint64_t> bytes(problem.devices.size(), 0);
  for (std::size_t v = 0; v < held.size(); ++v) {
    if (held[v].empty()) continue;
    bytes[v] = problem.fixed_bytes + memory_need(problem, static_cast<std::uint32_t>(v), held[v]).total();
  }
  return bytes;
}

}  // namespace

UnitMemory::UnitMemory(const PlanProblem& problem)
    : num_units_(static_cast<std::uint32_t>(problem.units.size())),
      range_((num_units_ + std::size_t{1}) * (num_units_ + std::size_t{1}), 0),
      ends_(range_.size(), 0) {
  for (std::uint32_t begin = 0; begin < num_units_; ++begin) {
    MemorySum sum;
    for (std::uint32_t end = begin + 1; end <= num_units_; ++end) {
      sum.add(problem.units[end - 1]);
      range_[index(begin, end)] = sum.need().total();
    }
  }
  MemorySum first;
  for (std::uint32_t prefix = 0; prefix <= num_units_; ++prefix) {
    if (prefix > 0) first.add(problem.units[prefix - 1]);
    MemorySum both = first;
    for (std::uint32_t suffix = num_units_; suffix >= prefix; --suffix) {
      if (suffix < num_units_) both.add(problem.units[suffix]);
      ends_[index(prefix, suffix)] = both.need().total();
      if (suffix == 0) break;
    }
  }
}

std::uint64_t stage_scratch(const PlanProblem& problem, std::uint32_t device, Range units) {
  if (units.empty()) return 0;
  const StageScratch& scratch = problem.devices[device].scratch;
  const Range layers = layers_of(problem);
  const bool has_layers = std::max(units.begin, layers.begin) < std::min(units.end, layers.end);
  const bool has_head = units.end > layers.end;
  if (has_layers) return has_head ? scratch.layers_and_head : scratch.layers;
  return has_head ? scratch.head : scratch.embedding;
}

// Layers and head stand in one stage, or in two that may be on different devices.
std::uint64_t least_scratch(const PlanProblem& problem) {
  StageScratch least;
  bool any = false;
  for (const DeviceProfile& device : problem.devices) {
    if (!device.may_compute) continue;
    const StageScratch& scratch = device.scratch;
    if (!any) least = scratch;
    any = true;
    least.layers = std::min(least.layers, scratch.layers);
    least.head = std::min(least.head, scratch.head);
    least.layers_and_head = std::min(least.layers_and_head, scratch.layers_and_head);
  }
  const bool has_head = layers_of(problem).end < problem.units.size();
  return has_head ? std::min(least.layers_and_head, least.layers + least.head) : least.layers;
}

MemoryNeed memory_need(const PlanProblem& problem, std::uint32_t device, std::span<const Range> stages) {
  MemorySum sum;
  std::uint64_t scratch = 0;
  for (const Range& stage : stages) {
    for (std::uint32_t u = stage.begin; u < stage.end; ++u) sum.add(problem.units[u]);
    scratch += stage_scratch(problem, device, stage);
  }
  MemoryNeed need = sum.need();
  need.scratch = scratch;
  return need;
}

StageTimes::StageTimes(const PlanProblem& problem, Objective objective, double rows)
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
  const auto link_of = [&](const LinkProfile& link) {
    return Link{sums() ? link.latency : 0.0, bytes_rows / link.bytes_per_second};
  };
  for (const UnitShape& unit : problem.units) output_bytes_.push_back(static_cast<double>(unit.output_bytes));
  for (std::size_t v = 0; v < num_devices_; ++v) {
    const DeviceProfile& device = problem.devices[v];
    double* sum = &prefix_[v * (num_units_ + std::size_t{1})];
    for (std::uint32_t u = 0; u < num_units_; ++u) {
      sum[u + 1] = sum[u] + share * unit_seconds(device.units[u], step_rows, problem.context);
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

Range layers_of(const PlanProblem& problem) {
  const auto num_units = static_cast<std::uint32_t>(problem.units.size());
  if (!problem.layers.empty()) return problem.layers;
  return num_units < 3 ? Range{0, num_units} : Range{1, num_units - 1};
}

bool memory_allows(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  const std::vector<std::uint64_t> bytes = device_memory(problem, stages);
  for (std::size_t v = 0; v < bytes.size(); ++v) {
    if (bytes[v] > problem.devices[v].memory_bytes) return false;
  }
  return true;
}

std::uint64_t room_of(const PlanProblem& problem, std::uint32_t device) {
  const DeviceProfile& profile = problem.devices[device];
  if (!profile.may_compute || profile.memory_bytes < problem.fixed_bytes) return 0;
  return profile.memory_bytes - problem.fixed_bytes;
}

Result<Prediction> predict(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  if (Status checked = check_problem(problem); !checked) return fail(checked.error());
  if (Status checked = check_stages(problem, stages); !checked) return fail(checked.error());
  Prediction prediction;
  const StageTimes one_row(problem, Objective::Latency, 1.0);
  prediction.seconds_per_token = one_row.plan(stages);
  prediction.bottleneck_seconds =
      StageTimes(problem, Objective::Throughput, rows_per_step(problem, num_distinct_devices(stages)))
          .plan(stages);
  predict_period(problem, stages, prediction);
  prediction.hop_seconds.push_back(one_row.entry(stages.front().device));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto [device, units] = stages[i];
    if (i > 0) prediction.hop_seconds.push_back(one_row.hop(stages[i - 1].device, device, units.begin));
    prediction.stage_seconds.push_back(one_row.stage(device, units.begin, units.end));
  }
  prediction.hop_seconds.push_back(one_row.exit(stages.back().device));
  prediction.memory_bytes = device_memory(problem, stages);
  return prediction;
}

}  // namespace shoal
