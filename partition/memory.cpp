#include "partition/memory.h"

#include <algorithm>
#include <utility>

namespace shoal {
namespace {

// Adds units one by one; a tied group counts its largest member's shared bytes once.
class MemorySum {
 public:
  explicit MemorySum(const PlanProblem& problem) : num_sequences_(problem.num_sequences) {}

  void add(const UnitShape& unit) {
    need_.weights += unit.weight_bytes;
    need_.kv += unit.kv_bytes * num_sequences_;
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

  std::uint64_t num_sequences_;
  MemoryNeed need_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> shared_;
};

std::uint64_t reserved(const PlanProblem& problem, std::uint32_t device) {
  return problem.fixed_bytes + problem.devices[device].standby_bytes;
}

}  // namespace

UnitMemory::UnitMemory(const PlanProblem& problem)
    : num_units_(static_cast<std::uint32_t>(problem.units.size())),
      range_((num_units_ + std::size_t{1}) * (num_units_ + std::size_t{1}), 0),
      ends_(range_.size(), 0) {
  for (std::uint32_t begin = 0; begin < num_units_; ++begin) {
    MemorySum sum(problem);
    for (std::uint32_t end = begin + 1; end <= num_units_; ++end) {
      sum.add(problem.units[end - 1]);
      range_[index(begin, end)] = sum.need().total();
    }
  }
  MemorySum first(problem);
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
  MemorySum sum(problem);
  std::uint64_t scratch = 0;
  for (const Range& stage : stages) {
    for (std::uint32_t u = stage.begin; u < stage.end; ++u) sum.add(problem.units[u]);
    scratch += stage_scratch(problem, device, stage);
  }
  MemoryNeed need = sum.need();
  need.scratch = scratch;
  return need;
}

std::vector<std::uint64_t> device_memory(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  std::vector<std::vector<Range>> held(problem.devices.size());
  for (const PlannedStage& stage : stages) held[stage.device].push_back(stage.units);
  std::vector<std::uint64_t> bytes(problem.devices.size(), 0);
  for (std::uint32_t v = 0; v < held.size(); ++v) {
    if (!held[v].empty()) bytes[v] = reserved(problem, v) + memory_need(problem, v, held[v]).total();
  }
  return bytes;
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
  if (!profile.may_compute || profile.memory_bytes < reserved(problem, device)) return 0;
  return profile.memory_bytes - reserved(problem, device);
}

Range layers_of(const PlanProblem& problem) {
  const auto num_units = static_cast<std::uint32_t>(problem.units.size());
  if (!problem.layers.empty()) return problem.layers;
  return num_units < 3 ? Range{0, num_units} : Range{1, num_units - 1};
}

}  // namespace shoal
