#include "partition/problem_check.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/checked_math.h"
#include "partition/memory.h"

namespace shoal {
namespace {

Failure invalid(std::string what) {
  return fail(ErrorCode::InvalidArgument, "planning problem: " + std::move(what));
}

bool is_time(double seconds) { return std::isfinite(seconds) && seconds >= 0 && seconds <= 1e9; }

bool is_rate(double bytes_per_second) {
  return std::isfinite(bytes_per_second) && bytes_per_second >= kLeastRate;
}

bool is_link(const LinkProfile& link) {
  return link.closed || (is_time(link.latency) && is_rate(link.bytes_per_second));
}

Status check_units(const PlanProblem& problem) {
  if (problem.units.empty()) return invalid("the model has no units");
  if (problem.units.size() > kMaxUnits) {
    return invalid(std::to_string(problem.units.size()) + " units; at most " + std::to_string(kMaxUnits));
  }
  for (std::uint32_t u = 0; u < problem.units.size(); ++u) {
    const UnitShape& unit = problem.units[u];
    const std::uint64_t kv = checked_mul(unit.kv_bytes, problem.num_sequences).value_or(~std::uint64_t{0});
    const std::uint64_t greatest =
        std::max({unit.weight_bytes, kv, unit.output_bytes, unit.live_kv_bytes, problem.fixed_bytes});
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
  if (device.units.size() != problem.units.size()) {
    return invalid(device_name(problem, v) + " has " + std::to_string(device.units.size()) +
                   " measured units, the model " + std::to_string(problem.units.size()));
  }
  if (!is_scratch(device.scratch))
    return invalid(device_name(problem, v) + " has figures of scratch that contradict each other");
  if (device.standby_bytes > kMaxUnitBytes)
    return invalid(device_name(problem, v) + " keeps more than 2^50 bytes free");
  if (!device.bans.empty() && device.bans.size() != problem.units.size())
    return invalid(device_name(problem, v) + " has bans for some units and not for others");
  if (!device.places.empty() && device.places.size() != problem.units.size())
    return invalid(device_name(problem, v) + " tells where some units are and not others");
  if (!is_rate(device.disk_bytes_per_second) || !is_rate(device.fetch_bytes_per_second))
    return invalid(device_name(problem, v) + " has no valid rates of loading");
  if (!is_time(device.step_overhead)) return invalid(device_name(problem, v) + " has no valid step overhead");
  for (std::uint32_t u = 0; u < device.units.size(); ++u) {
    const UnitCost& cost = device.units[u];
    if (!is_time(cost.decode) || !is_time(cost.batch32) || !is_time(cost.per_1k_context)) {
      return invalid(device_name(problem, v) + " has no valid time for " + unit_name(problem, u));
    }
  }
  return {};
}

Status check_links(const PlanProblem& problem, std::size_t v) {
  const std::size_t num_devices = problem.devices.size();
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

Status check_pins(const PlanProblem& problem) {
  std::vector<bool> is_pinned(problem.units.size(), false);
  for (const Pin& pin : problem.pins) {
    if (pin.unit >= problem.units.size() || pin.device >= problem.devices.size())
      return invalid("a pin names unit " + std::to_string(pin.unit) + " and device " +
                     std::to_string(pin.device) + ", which do not both exist");
    if (is_pinned[pin.unit]) return invalid(unit_name(problem, pin.unit) + " is pinned twice");
    is_pinned[pin.unit] = true;
  }
  if (problem.ring == Ring::OneDevice && problem.ring_device >= problem.devices.size())
    return invalid("its ring closes at device " + std::to_string(problem.ring_device) +
                   ", which does not exist");
  return {};
}

Status check_request(const PlanProblem& problem) {
  if (!is_time(problem.context)) return invalid("its context is not a length");
  if (!is_time(problem.rows_per_step)) return invalid("its rows per step are not a number");
  if (!is_time(problem.latency_slack)) return invalid("its latency slack is not a number");
  if (!is_time(problem.most_bottleneck)) return invalid("its limit of the bottleneck is not a time");
  if (!(problem.expected_tokens >= 0 && problem.expected_tokens <= 1e15))
    return invalid("its expected tokens are not a number");
  if (problem.num_sequences == 0) return invalid("it asks for no sequence");
  if (problem.input_bytes > kMaxUnitBytes || problem.result_bytes > kMaxUnitBytes)
    return invalid("its input or result exceeds 2^50 bytes");
  if (problem.chunk_tokens > 0 && problem.prompt_tokens / problem.chunk_tokens >= kMaxChunks)
    return invalid("its prompt has more than " + std::to_string(kMaxChunks) + " chunks");
  return {};
}

}  // namespace

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
  for (std::size_t v = 0; v < num_devices; ++v) {
    if (Status checked = check_device(problem, v); !checked) return checked;
    if (Status checked = check_links(problem, v); !checked) return checked;
  }
  if (Status checked = check_request(problem); !checked) return checked;
  return check_pins(problem);
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

}  // namespace shoal
