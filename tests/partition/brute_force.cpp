#include "brute_force.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace shoal {
namespace {

double loading_of(const PlanProblem& problem, const PlannedStage& stage) {
  if (problem.expected_tokens <= 0) return 0;
  const DeviceProfile& device = problem.devices[stage.device];
  double seconds = 0;
  for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u) {
    const UnitPlace place = device.places.empty() ? UnitPlace::Nowhere : device.places[u];
    const auto weights = static_cast<double>(problem.units[u].weight_bytes);
    if (place == UnitPlace::InMemory) continue;
    seconds +=
        weights / (place == UnitPlace::OnDisk ? device.disk_bytes_per_second : device.fetch_bytes_per_second);
    seconds += static_cast<double>(problem.units[u].live_kv_bytes) / device.fetch_bytes_per_second;
  }
  return seconds / problem.expected_tokens;
}

double visit(const PlanProblem& problem, const PlannedStage& stage, double rows) {
  const DeviceProfile& device = problem.devices[stage.device];
  double seconds = device.step_overhead;
  for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u) {
    const UnitCost& cost = device.units[u];
    const double batch32 = std::max(cost.batch32, cost.decode);
    seconds += cost.decode + (batch32 - cost.decode) * (rows - 1) / 31;
    seconds += rows * problem.context / 1000 * cost.per_1k_context;
  }
  return seconds;
}

std::set<std::uint32_t> devices_of(const std::vector<PlannedStage>& stages) {
  std::set<std::uint32_t> devices;
  for (const PlannedStage& stage : stages) devices.insert(stage.device);
  return devices;
}

std::uint64_t slow_scratch(const PlanProblem& problem, const PlannedStage& stage) {
  const StageScratch& scratch = problem.devices[stage.device].scratch;
  bool layers = false, head = false;
  for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u) {
    head = head || u + 1 == problem.units.size();
    layers = layers || (u > 0 && u + 1 < problem.units.size());
  }
  if (layers && head) return scratch.layers_and_head;
  if (layers) return scratch.layers;
  return head ? scratch.head : scratch.embedding;
}

bool enough_layers(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  return problem.min_stages <= 1 || num_layer_devices(problem, stages) >= problem.min_stages;
}

class BruteForce {
 public:
  explicit BruteForce(const PlanProblem& problem) : problem_(problem) {}

  std::optional<BruteForceBest> run() {
    place(0);
    return best_;
  }

  std::optional<BruteForceBest> run_balanced() {
    place(0);
    double soonest = INFINITY;
    for (const BruteForceBest& plan : all_) soonest = std::min(soonest, plan.latency);
    std::optional<BruteForceBest> best;
    for (const BruteForceBest& plan : all_) {
      if (plan.latency > soonest * (1 + problem_.latency_slack) * (1 + 1e-9)) continue;
      const double slack = best ? 1e-8 * best->objective : 0;
      const bool less = !best || plan.objective < best->objective - slack;
      const bool equal = best && plan.objective <= best->objective + slack;
      if (less || (equal && plan.latency < best->latency)) best = plan;
    }
    return best;
  }

  std::vector<JudgedPlan> run_through() {
    keeps_all_ = true;
    place(0);
    return std::move(judged_);
  }

 private:
  void place(std::uint32_t begin) {
    if (begin == problem_.units.size()) return judge();
    for (std::uint32_t v = 0; v < problem_.devices.size(); ++v) {
      const bool used =
          std::any_of(stages_.begin(), stages_.end(), [&](const auto& s) { return s.device == v; });
      const bool returns = used && stages_.size() > 1 && stages_.front().device == v;
      if (!problem_.devices[v].may_compute || (used && !returns)) continue;
      const auto num_units = static_cast<std::uint32_t>(problem_.units.size());
      for (std::uint32_t end = returns ? num_units : begin + 1; end <= num_units; ++end) {
        stages_.push_back({v, {begin, end}});
        place(end);
        stages_.pop_back();
      }
    }
  }

  void judge() {
    if (!enough_layers(problem_, stages_) || !slow_fits(problem_, stages_) || !slow_obeys(problem_, stages_))
      return;
    const double latency = slow_latency(problem_, stages_, true);
    if (keeps_all_) {
      judged_.push_back({stages_, latency, slow_bottleneck(problem_, stages_, true)});
      return;
    }
    if (problem_.objective == Objective::Balanced) {
      all_.push_back({slow_bottleneck(problem_, stages_, true), latency, devices_of(stages_).size()});
      return;
    }
    const double objective =
        problem_.objective == Objective::Latency ? latency : slow_bottleneck(problem_, stages_, true);
    const std::size_t num_devices = devices_of(stages_).size();
    const double slack = 1e-9 * objective;
    if (best_ && objective > best_->objective + slack) return;
    if (best_ && objective > best_->objective - slack) {
      const bool by_latency = problem_.objective == Objective::Throughput;
      if (!by_latency && num_devices > best_->num_devices) return;
      if ((by_latency || num_devices == best_->num_devices) && latency >= best_->latency) return;
    }
    best_ = {objective, latency, num_devices};
  }

  const PlanProblem& problem_;
  std::vector<PlannedStage> stages_;
  std::optional<BruteForceBest> best_;
  std::vector<BruteForceBest> all_;  // of a Balanced problem
  bool keeps_all_ = false;
  std::vector<JudgedPlan> judged_;
};

}  // namespace

std::size_t num_layer_devices(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  std::set<std::uint32_t> holding;
  for (const PlannedStage& stage : stages) {
    for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u) {
      if (u > 0 && u + 1 < problem.units.size()) holding.insert(stage.device);
    }
  }
  return holding.size();
}

double slow_latency(const PlanProblem& problem, const std::vector<PlannedStage>& stages, bool loading) {
  const auto seconds = [](const LinkProfile& link, std::uint64_t bytes) {
    return link.latency + static_cast<double>(bytes) / link.bytes_per_second;
  };
  double total = seconds(problem.from_hub[stages.front().device], problem.input_bytes) +
                 seconds(problem.to_hub[stages.back().device], problem.result_bytes);
  for (std::size_t i = 0; i < stages.size(); ++i) {
    total += visit(problem, stages[i], 1) + (loading ? loading_of(problem, stages[i]) : 0);
    if (i + 1 == stages.size() || stages[i].device == stages[i + 1].device) continue;
    total += seconds(problem.links[stages[i].device][stages[i + 1].device],
                     problem.units[stages[i].units.end - 1].output_bytes);
  }
  return total;
}

double slow_bottleneck(const PlanProblem& problem, const std::vector<PlannedStage>& stages, bool loading) {
  const auto num_devices = static_cast<double>(devices_of(stages).size());
  const double rows = problem.rows_per_step > 0 ? problem.rows_per_step : problem.num_streams / num_devices;
  std::map<std::uint32_t, double> busy;
  for (const PlannedStage& stage : stages) {
    busy[stage.device] += visit(problem, stage, std::max(1.0, rows)) / rows;
    if (loading) busy[stage.device] += loading_of(problem, stage);
  }
  double most = std::max(
      static_cast<double>(problem.input_bytes) / problem.from_hub[stages.front().device].bytes_per_second,
      static_cast<double>(problem.result_bytes) / problem.to_hub[stages.back().device].bytes_per_second);
  for (const auto& [device, seconds] : busy) most = std::max(most, seconds);
  for (std::size_t i = 0; i + 1 < stages.size(); ++i) {
    if (stages[i].device == stages[i + 1].device) continue;
    const LinkProfile& link = problem.links[stages[i].device][stages[i + 1].device];
    most = std::max(most, static_cast<double>(problem.units[stages[i].units.end - 1].output_bytes) /
                              link.bytes_per_second);
  }
  return most;
}

bool slow_fits(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  for (const std::uint32_t device : devices_of(stages)) {
    std::uint64_t bytes = problem.fixed_bytes + problem.devices[device].standby_bytes;
    std::uint64_t scratch = 0;
    std::map<std::uint64_t, std::uint64_t> shared;
    for (const PlannedStage& stage : stages) {
      if (stage.device != device) continue;
      scratch += slow_scratch(problem, stage);
      for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u) {
        const UnitShape& unit = problem.units[u];
        const std::uint64_t tied = unit.tied_group ? unit.tied_bytes : 0;
        bytes += unit.weight_bytes - tied + unit.kv_bytes * problem.num_sequences;
        if (tied) shared[unit.tied_group] = std::max(shared[unit.tied_group], tied);
      }
    }
    for (const auto& [group, tied] : shared) bytes += tied;
    if (bytes + scratch > problem.devices[device].memory_bytes) return false;
  }
  return true;
}

bool slow_obeys(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  bool obeys =
      !problem.from_hub[stages.front().device].closed && !problem.to_hub[stages.back().device].closed;
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const std::uint32_t device = stages[i].device;
    if (i > 0 && stages[i - 1].device != device)
      obeys = obeys && !problem.links[stages[i - 1].device][device].closed;
    for (std::uint32_t u = stages[i].units.begin; u < stages[i].units.end; ++u) {
      const std::vector<bool>& bans = problem.devices[device].bans;
      obeys = obeys && (bans.empty() || !bans[u]);
      for (const Pin& pin : problem.pins) obeys = obeys && (pin.unit != u || pin.device == device);
    }
  }
  if (stages.size() != devices_of(stages).size()) {
    obeys = obeys && problem.ring != Ring::NoDevice;
    obeys = obeys && (problem.ring == Ring::AnyDevice || stages.front().device == problem.ring_device);
  }
  const bool limited = problem.most_bottleneck > 0 && problem.objective == Objective::Latency;
  return obeys && (!limited || slow_bottleneck(problem, stages, true) <= problem.most_bottleneck);
}

std::optional<BruteForceBest> brute_force_balanced(const PlanProblem& problem) {
  return BruteForce(problem).run_balanced();
}
std::optional<BruteForceBest> brute_force(const PlanProblem& problem) { return BruteForce(problem).run(); }

std::vector<JudgedPlan> all_plans(const PlanProblem& problem) { return BruteForce(problem).run_through(); }

}  // namespace shoal
