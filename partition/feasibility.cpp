#include "partition/feasibility.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"
#include "partition/cost.h"
#include "partition/placement_rules.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxExact = 14;
constexpr std::uint32_t kNobody = ~std::uint32_t{0};

std::string each_fixed(const PlanProblem& problem) {
  return problem.fixed_bytes == 0 ? "" : " after " + size_text(problem.fixed_bytes) + " each for the process";
}

bool is_restricted(const PlanProblem& problem) {
  return !problem.pins.empty() ||
         std::any_of(problem.devices.begin(), problem.devices.end(),
                     [](const DeviceProfile& device) { return !device.bans.empty(); });
}

// How many bytes are missing on the device before a stage of this unit alone fits; 0: it fits.
std::uint64_t shortage_of(const PlanProblem& problem, std::uint32_t device, std::uint32_t unit) {
  const Range alone{unit, unit + 1};
  const std::uint64_t need = memory_need(problem, device, {&alone, 1}).total();
  return need - std::min(need, room_of(problem, device));
}

// Where a stage of this unit alone finds most room; kNobody if it may run nowhere.
std::uint32_t roomiest_for(const PlanProblem& problem, const PlacementRules& rules, std::uint32_t unit) {
  std::uint32_t roomiest = kNobody;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    if (!rules.may_run(v, {unit, unit + 1})) continue;
    if (roomiest == kNobody || shortage_of(problem, v, unit) < shortage_of(problem, roomiest, unit))
      roomiest = v;
  }
  return roomiest;
}

Status check_every_unit_fits(const PlanProblem& problem) {
  const PlacementRules rules(problem);
  for (std::uint32_t u = 0; u < problem.units.size(); ++u) {
    const std::uint32_t roomiest = roomiest_for(problem, rules, u);
    if (roomiest == kNobody)
      return fail(ErrorCode::Unavailable, unit_name(problem, u) +
                                              " may run on no device: it is banned from every one, "
                                              "or pinned to one that may not run it; lift a ban or the pin");
    const std::uint64_t shortage = shortage_of(problem, roomiest, u);
    if (shortage == 0) continue;
    const std::uint64_t room = room_of(problem, roomiest);
    return fail(ErrorCode::OutOfMemory, unit_name(problem, u) + " alone needs " + size_text(room + shortage) +
                                            " and the roomiest" +
                                            (is_restricted(problem) ? " that may run it, " : ", ") +
                                            device_name(problem, roomiest) + ", gives " + size_text(room) +
                                            each_fixed(problem) + ": " + size_text(shortage) + " short");
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

std::uint64_t room_of_all(const PlanProblem& problem) {
  std::uint64_t room = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v)
    room = checked_add(room, room_of(problem, v)).value_or(~std::uint64_t{0});
  return room;
}

Status check_sum_fits(const PlanProblem& problem) {
  const MemoryNeed need = least_need(problem);
  const std::uint64_t room = room_of_all(problem);
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
    return fail(ErrorCode::InvalidArgument, "planning problem: min_stages is " +
                                                std::to_string(problem.min_stages) + " and the model has " +
                                                std::to_string(layers.size()) + " layers");
  }
  const PlacementRules rules(problem);
  std::uint32_t able = 0;
  for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
    bool holds_one = false;
    for (std::uint32_t u = layers.begin; u < layers.end && !holds_one; ++u)
      holds_one = rules.may_run(v, {u, u + 1}) && shortage_of(problem, v, u) == 0;
    able += holds_one;
  }
  if (able >= problem.min_stages) return {};
  return fail(ErrorCode::Unavailable, "min_stages asks for " + std::to_string(problem.min_stages) +
                                          " devices with a layer each and " + std::to_string(able) +
                                          " can hold one: " + std::to_string(problem.min_stages - able) +
                                          " missing");
}

// How many of the first units the devices can hold, one range each, with so much more memory on each. Exact
// up to kMaxExact devices: every device takes what it can after every set of others, and to be further is
// never worse, because parts of a range need no more than the range. Above: roomiest first.
class Coverage {
 public:
  explicit Coverage(const PlanProblem& problem) : problem_(problem), rules_(problem), memory_(problem) {
    for (std::uint32_t v = 0; v < problem.devices.size(); ++v) {
      if (problem.devices[v].may_compute) devices_.push_back(v);
    }
    std::stable_sort(devices_.begin(), devices_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return room_of(problem, a) > room_of(problem, b);
    });
  }

  bool is_exact() const { return devices_.size() <= kMaxExact; }

  std::uint32_t most_units(std::uint64_t more_bytes) const {
    std::vector<std::uint32_t> reach;  // [device][begin]
    const auto width = static_cast<std::uint32_t>(problem_.units.size()) + 1;
    for (const std::uint32_t device : devices_) {
      for (std::uint32_t begin = 0; begin < width; ++begin)
        reach.push_back(advance(device, begin, more_bytes));
    }
    if (!is_exact()) {
      std::uint32_t held = 0;
      for (std::size_t v = 0; v < devices_.size(); ++v) held = reach[v * width + held];
      return held;
    }
    std::vector<std::uint32_t> held(std::size_t{1} << devices_.size(), 0);
    for (std::size_t used = 1; used < held.size(); ++used) {
      for (std::size_t v = 0; v < devices_.size(); ++v) {
        if (used >> v & 1)
          held[used] = std::max(held[used], reach[v * width + held[used & ~(std::size_t{1} << v)]]);
      }
    }
    return held.back();
  }

  // The least that is missing on each device alike; 0 if that is not what is missing.
  std::uint64_t bytes_short() const {
    const auto all = static_cast<std::uint32_t>(problem_.units.size());
    std::uint64_t enough = least_need(problem_).total();
    if (most_units(enough) < all) return 0;
    std::uint64_t too_few = 0;
    while (enough - too_few > 1 + enough / 1000) {
      const std::uint64_t middle = too_few + (enough - too_few) / 2;
      (most_units(middle) == all ? enough : too_few) = middle;
    }
    return enough;
  }

 private:
  std::uint32_t advance(std::uint32_t device, std::uint32_t begin, std::uint64_t more_bytes) const {
    const std::uint64_t room = room_of(problem_, device) + more_bytes;
    const std::uint32_t last = rules_.furthest(device, begin);
    std::uint32_t end = begin;
    const auto fits = [&](Range units) {
      return memory_.of_range(units.begin, units.end) + stage_scratch(problem_, device, units) <= room;
    };
    while (end < last && fits({begin, end + 1})) ++end;
    return end;
  }

  const PlanProblem& problem_;
  PlacementRules rules_;
  UnitMemory memory_;
  std::vector<std::uint32_t> devices_;
};

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g s", seconds);
  return text;
}

}  // namespace

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

Error no_split_error(const PlanProblem& problem, bool proven) {
  const Coverage coverage(problem);
  const auto num_units = static_cast<std::uint32_t>(problem.units.size());
  const std::uint32_t held = coverage.most_units(0);
  const std::uint32_t stuck = std::min(held, num_units - 1);
  const Range last{stuck, stuck + 1};
  const std::uint32_t roomiest = roomiest_for(problem, PlacementRules(problem), stuck);
  const std::uint64_t shortage = coverage.bytes_short();
  std::string message =
      "the model needs " + size_text(least_need(problem).total()) + " and the devices give " +
      size_text(room_of_all(problem)) + each_fixed(problem) + ", but " +
      (proven && coverage.is_exact() ? "no split into whole units fits" : "no split that was tried fits") +
      ": at best " + std::to_string(held) + " of " + std::to_string(num_units) + " units are placed and " +
      unit_name(problem, stuck) + " (" + size_text(memory_need(problem, roomiest, {&last, 1}).total()) +
      ") finds no room; ";
  message += shortage == 0 ? "add memory or a device" : size_text(shortage) + " more on each device would do";
  return Error(ErrorCode::OutOfMemory, std::move(message));
}

Error obstacle_error(const PlanProblem& problem, Obstacle obstacle, bool proven, double least_bottleneck) {
  const std::string no_split = proven ? "no split" : "no split that was tried";
  switch (obstacle) {
    case Obstacle::MinStages:
      return Error(ErrorCode::Unavailable, "min_stages asks for " + std::to_string(problem.min_stages) +
                                               " devices with a layer each; the model fits, but " + no_split +
                                               " gives so many devices one; lower min_stages or add memory");
    case Obstacle::Pins:
      return Error(ErrorCode::Unavailable,
                   "the model fits, but " + no_split +
                       " keeps every pin and ban: a device runs one run of consecutive units, and "
                       "a pin between two others of one device breaks it; lift a pin");
    case Obstacle::Links:
      return Error(ErrorCode::Unavailable,
                   "the model fits, but " + no_split +
                       " does without a closed link: the devices that could hold it cannot all "
                       "reach the next one; open a link or add a device");
    case Obstacle::Bottleneck:
      return Error(ErrorCode::Unavailable,
                   "no plan keeps every device and link within " + seconds_text(problem.most_bottleneck) +
                       " per token" +
                       (least_bottleneck < kNever
                            ? "; the least is " + seconds_text(least_bottleneck) + ": " +
                                  seconds_text(least_bottleneck - problem.most_bottleneck) + " short"
                            : std::string()));
  }
  SHOAL_CHECK(false);
}

}  // namespace shoal
