#pragma once

#include <cstdint>
#include <vector>

#include "partition/cost.h"
#include "partition/placement_rules.h"

namespace shoal {

// Stages, devices and hops that take longer than `seconds` under `times` are forbidden; none if `times` is
// null.
struct Ceiling {
  const StageTimes* times = nullptr;
  double seconds = kNever;
};

// What a search and its bound look at: the devices that may take part, what they cost and where they may not
// go. Inside a search a device is its place in `devices`. At least `min_devices` must hold a layer; if
// `exact_devices` is not 0, exactly that many take part. Refers to the problem and its tables, which must
// outlive it.
class SearchSpace {
 public:
  SearchSpace(const PlanProblem& problem, const UnitMemory& memory, const StageTimes& times,
              std::vector<std::uint32_t> devices, Ceiling ceiling = {});

  std::uint32_t min_devices = 1;
  std::uint32_t exact_devices = 0;

  std::uint32_t num_units() const { return num_units_; }
  std::uint32_t num_devices() const { return static_cast<std::uint32_t>(devices_.size()); }
  std::uint32_t device(std::uint32_t v) const { return devices_[v]; }
  Range layers() const { return layers_; }
  const PlanProblem& problem() const { return problem_; }
  const UnitMemory& memory() const { return memory_; }
  const StageTimes& times() const { return times_; }
  const Ceiling& ceiling() const { return ceiling_; }
  std::uint64_t room(std::uint32_t v) const { return room_[v]; }

  // The furthest end of a stage that begins at `begin`: memory, rules and the ceiling allow every end up to
  // it.
  std::uint32_t reach(std::uint32_t v, std::uint32_t begin) const {
    return reach_[v * (num_units_ + std::size_t{1}) + begin];
  }
  double stage(std::uint32_t v, std::uint32_t begin, std::uint32_t end) const {
    return times_.stage(devices_[v], begin, end);
  }
  // kNever where the ceiling forbids them.
  double hop(std::uint32_t from, std::uint32_t to, std::uint32_t cut) const {
    const std::uint32_t u = devices_[from];
    const std::uint32_t w = devices_[to];
    return ceiling_.times && ceiling_.times->hop(u, w, cut) > ceiling_.seconds ? kNever
                                                                               : times_.hop(u, w, cut);
  }
  double entry(std::uint32_t v) const;
  double exit(std::uint32_t v) const;

  // May `v` run [0, prefix) and, after others, also [suffix, num_units)?
  bool may_close(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const;
  // What the last units and the return cost on `v`, which already runs [0, prefix): to be joined to the path
  // so far.
  double closing(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const;

 private:
  const PlanProblem& problem_;
  const UnitMemory& memory_;
  const StageTimes& times_;
  std::vector<std::uint32_t> devices_;
  Ceiling ceiling_;
  std::uint32_t num_units_;
  Range layers_;
  PlacementRules rules_;
  std::vector<std::uint64_t> room_;
  std::vector<std::uint32_t> reach_;
};

}  // namespace shoal
