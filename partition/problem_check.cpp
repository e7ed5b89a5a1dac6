#include "partition/problem_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "partition/cost.h"

namespace shoal {
namespace {

// No sum over kMaxUnits units of three such figures overflows 64 bits.
constexpr std::uint64_t kMaxUnitBytes = std::uint64_t{1} << 50;

// "412 MB", "1.5 MB", "800 bytes".
std::string size_text(std::uint64_t bytes) {
  char text[48];
  if (bytes < 10'000) {
    std::snprintf(text, sizeof text, "%llu bytes", static_cast<unsigned long long>(bytes));
  } else {
    const double megabytes = static_cast<double>(bytes) / 1e6;
    std::snprintf(text, sizeof text, megabytes < 10 ? "%.2f MB" : "%.0f MB", megabytes);
  }
  return text;
}

std::string device_name(const PlanProblem& problem, std::size_t device) {
  const std::string& name = problem.devices[device].name;
  return name.empty() ? "device " + std::to_string(device)
                      : "device " + std::to_string(device) + " (" + name + ")";
}

Failure invalid(std::string what) {
  return fail(ErrorCode::InvalidArgument, "planning problem: " + std::move(what));
}

bool is_time(double seconds) { return std::isfinite(seconds) && seconds >= 0 && seconds <= 1e9; }

bool is_link(const LinkProfile& link) {
  return is_time(link.latency) && link.bytes_per_second >= 1e-3 && std::isfinite(link.bytes_per_second);
}

Status check_units(const PlanProblem& problem) {
  if (problem.units.empty()) return invalid("the model has no units");
  if (problem.units.size() > kMaxUnits) {
    return invalid(std::to_string(problem.units.size()) + " units; at most " + std::to_string(kMaxUnits));
  }
  for (std::uint32_t u = 0; u < problem.units.size(); ++u) {
    const UnitShape& unit = problem.units[u];
    const std::uint64_t greatest =
        std::max({unit.weight_bytes, unit.kv_bytes, unit.output_bytes, problem.fixed_bytes});
    if (greatest > kMaxUnitBytes)
      return invalid(unit_name(problem, u) + " is given more than 2^50 bytes of something");
    if (unit.tied_bytes > unit.weight_bytes) {
      return invalid(unit_name(problem, u) + " shares " + size_text(unit.tied_bytes) + " but has " +
                     size_text(unit.weight_bytes) + " of weights");
    }
  }
  if (problem.layers.begin > problem.layers.end || problem.layers.end > problem.units.size()) {
    return invalid("its layers end past its last unit");
  }
  return {};
}

bool is_scratch(const StageScratch& scratch) {
  return scratch.embedding <= scratch.layers &&
         std::max(scratch.layers, scratch.head) <= scratch.layers_and_head &&
         scratch.layers_and_head <= kMaxUnitBytes && scratch.layers_and_head - scratch.layers <= scratch.head;
}

Status check_device(const PlanProblem& problem, std::size_t v) {
  const DeviceProfile& device = problem.devices[v];
  const std::size_t num_devices = problem.devices.size();
  if (device.units.size() != problem.units.size()) {
    return invalid(device_name(problem, v) + " has " + std::to_string(device.units.size()) +
                   " measured units, the model " + std::to_string(problem.units.size()));
  }
  if (!is_scratch(device.scratch))
    return invalid(device_name(problem, v) + " has figures of scratch that contradict each other");
  if (!is_time(device.step_overhead)) return invalid(device_name(problem, v) + " has no valid step overhead");
  for (std::uint32_t u = 0; u < device.units.size(); ++u) {
    const UnitCost& cost = device.units[u];
    if (!is_time(cost.decode) || !is_time(cost.batch32) || !is_time(cost.per_1k_context)) {
      return invalid(device_name(problem, v) + " has no valid time for " + unit_name(problem, u));
    }
  }
  if (problem.links[v].size() != num_devices) return invalid(device_name(problem, v) + " lacks links");
  for (std::size_t w = 0; w < num_devices; ++w) {
    if (w != v && !is_link(problem.links[v][w])) {
      return invalid("the link from " + device_name(problem, v) + " to " + device_name(problem, w) +
                     " has no valid latency and rate");
    }
  }
  if (!is_link(problem.from_hub[v]) || !is_link(problem.to_hub[v])) {
    return invalid("the links between the hub and " + device_name(problem, v) +
                   " have no valid latency and rate");
  }
  return {};
}

std::string each_fixed(const PlanProblem& problem) {
  return problem.fixed_bytes == 0 ? "" : " after " + size_text(problem.fixed_bytes) + " each for the process";
}

// How many bytes are missing on the device before a stage of this unit alone fits; 0: it fits.
std::uint64_t shortage_of(const PlanProblem& problem, std::uint32_t device, std::uint32_t unit) {
  const Range alone{unit, unit + 1};
  const std::uint64_t need = memory_need(problem, device, {&alone, 1}).total();
  return need - std::min(need, room_of(problem, device));
}

// Where a stage of this unit alone finds most room.
std::uint32_t roomiest_for(const PlanProblem& problem, std::uint32_t unit) {
  std::uint32_t roomiest = 0;
  for (std::uint32_t v = 1; v < problem.devices.size(); ++v) {
    if (shortage_of(problem, v, unit) < shortage_of(problem, roomiest, unit)) roomiest = v;
  }
  return roomiest;
}

Status check_every_unit_fits(const PlanProblem& problem) {
  for (std::uint32_t u = 0; u < problem.units.size(); ++u) {
    const std::uint32_t roomiest = roomiest_for(problem, u);
    const std::uint64_t shortage = shortage_of(problem, roomiest, u);
    if (shortage == 0) continue;
    const std::uint64_t room = room_of(problem, roomiest);
    const std::uint64_t bytes = room + shortage;
    return fail(ErrorCode::OutOfMemory, unit_name(problem, u) + " alone needs " + size_text(bytes) +
                                            " and the roomiest, " + device_name(problem, roomiest) +
                                            ", gives " + size_text(room) + each_fixed(problem) + ": " +
                                            size_text(shortage) + " short");
  }
  return {};
}

// What the model takes at least, however it is split.
MemoryNeed least_need(const PlanProblem& problem) {
  const Range all{0, static_cast<std::uint32_t>(problem.units.size())};
  MemoryNeed need = memory_need(problem, 0, {&all, 1});
  need.scratch = least_scratch(problem);
  return need;
}

Status check_sum_fits(const PlanProblem& problem) {
  const MemoryNeed need = least_need(problem);
  std::uint64_t room = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v)
    room += std::min(room_of(problem, v), kMaxUnitBytes);
  if (need.total() <= room) return {};
  return fail(ErrorCode::OutOfMemory,
              "the model needs " + size_text(need.total()) + " (weights " + size_text(need.weights) +
                  ", KV " + size_text(need.kv) + ", scratch " + size_text(need.scratch) +
                  ") and the devices give " + size_text(room) + each_fixed(problem) + ": " +
                  size_text(need.total() - room) +
                  " short; add a device or memory, or ask for fewer or shorter sequences");
}

Status check_min_stages(const PlanProblem& problem) {
  if (problem.min_stages <= 1) return {};
  const Range layers = layers_of(problem);
  if (problem.min_stages > layers.size()) {
    return invalid("min_stages is " + std::to_string(problem.min_stages) + " and the model has " +
                   std::to_string(layers.size()) + " layers");
  }
  std::uint32_t able = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    bool holds_one = false;
    for (std::uint32_t u = layers.begin; u < layers.end && !holds_one; ++u)
      holds_one = shortage_of(problem, v, u) == 0;
    able += problem.devices[v].may_compute && holds_one;
  }
  if (able >= problem.min_stages) return {};
  return fail(ErrorCode::Unavailable, "min_stages asks for " + std::to_string(problem.min_stages) +
                                          " devices with a layer each and " + std::to_string(able) +
                                          " can hold one: " + std::to_string(problem.min_stages - able) +
                                          " missing");
}

}  // namespace

std::string unit_name(const PlanProblem& problem, std::uint32_t unit) {
  if (!problem.units[unit].name.empty()) return problem.units[unit].name;
  const Range layers = layers_of(problem);
  if (layers.contains(unit)) return "layer " + std::to_string(unit - layers.begin);
  if (unit == 0) return "the embedding";
  if (unit + 1 == problem.units.size() && unit == layers.end) return "the head";
  return "unit " + std::to_string(unit);
}

Status check_problem(const PlanProblem& problem) {
  if (Status checked = check_units(problem); !checked) return checked;
  const std::size_t num_devices = problem.devices.size();
  if (num_devices > kMaxDevices) {
    return invalid(std::to_string(num_devices) + " devices; at most " + std::to_string(kMaxDevices));
  }
  if (problem.links.size() != num_devices || problem.from_hub.size() != num_devices ||
      problem.to_hub.size() != num_devices) {
    return invalid("links are not given for each of its " + std::to_string(num_devices) + " devices");
  }
  if (!is_time(problem.context)) return invalid("its context is not a length");
  if (!is_time(problem.rows_per_step)) return invalid("its rows per step are not a number");
  if (!is_time(problem.latency_slack)) return invalid("its latency slack is not a number");
  if (problem.input_bytes > kMaxUnitBytes || problem.result_bytes > kMaxUnitBytes) {
    return invalid("its input or result exceeds 2^50 bytes");
  }
  for (std::size_t v = 0; v < num_devices; ++v) {
    if (Status checked = check_device(problem, v); !checked) return checked;
  }
  return {};
}

Status check_stages(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  std::uint32_t next = 0;
  for (const PlannedStage& stage : stages) {
    if (stage.device >= problem.devices.size()) {
      return fail(ErrorCode::InvalidArgument, "plan: device " + std::to_string(stage.device) + " of " +
                                                  std::to_string(problem.devices.size()) + " does not exist");
    }
    if (stage.units.begin != next || stage.units.end <= next || stage.units.end > problem.units.size()) {
      return fail(ErrorCode::InvalidArgument, "plan: a stage with units [" +
                                                  std::to_string(stage.units.begin) + ", " +
                                                  std::to_string(stage.units.end) + ") where unit " +
                                                  std::to_string(next) + " should follow");
    }
    next = stage.units.end;
  }
  if (next == problem.units.size()) return {};
  return fail(ErrorCode::InvalidArgument, "plan: it covers " + std::to_string(next) + " of " +
                                              std::to_string(problem.units.size()) + " units");
}

Status check_feasible(const PlanProblem& problem) {
  const bool any = std::any_of(problem.devices.begin(), problem.devices.end(),
                               [](const DeviceProfile& device) { return device.may_compute; });
  if (!any) {
    return fail(ErrorCode::Unavailable, problem.devices.empty()
                                            ? "no device has joined"
                                            : "none of the " + std::to_string(problem.devices.size()) +
                                                  " devices may compute (drained, or of another arithmetic)");
  }
  if (Status checked = check_sum_fits(problem); !checked) return checked;
  if (Status checked = check_every_unit_fits(problem); !checked) return checked;
  return check_min_stages(problem);
}

Error no_split_error(const PlanProblem& problem, std::uint32_t units_held, bool proven) {
  const Range all{0, static_cast<std::uint32_t>(problem.units.size())};
  std::uint64_t room = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v)
    room += std::min(room_of(problem, v), kMaxUnitBytes);
  const std::uint64_t need = least_need(problem).total();
  const std::uint32_t stuck = std::min(units_held, all.end - 1);
  const Range last{stuck, stuck + 1};
  const std::uint32_t roomiest = roomiest_for(problem, stuck);
  return Error(ErrorCode::OutOfMemory,
               "the model needs " + size_text(need) + " and the devices give " + size_text(room) +
                   each_fixed(problem) + ", but " +
                   (proven ? "no split into whole units fits" : "no split that was tried fits") +
                   ": at best " + std::to_string(units_held) + " of " + std::to_string(all.end) +
                   " units are placed and " + unit_name(problem, stuck) + " (" +
                   size_text(memory_need(problem, roomiest, {&last, 1}).total()) +
                   ") finds no room; add memory or a device");
}

Error min_stages_error(const PlanProblem& problem, bool proven) {
  return Error(ErrorCode::Unavailable, "min_stages asks for " + std::to_string(problem.min_stages) +
                                           " devices with a layer each; the model fits, but " +
                                           (proven ? "no split" : "no split that was tried") +
                                           " gives so many devices one; lower min_stages or add memory");
}

}  // namespace shoal
