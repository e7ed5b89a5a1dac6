#pragma once

#include <cstdint>
#include <vector>

#include "partition/cost.h"
#include "partition/problem_tables.h"

namespace shoal {

// Stages, devices and hops that take longer than `seconds` under `times` are forbidden; none if `times` is
// null.
struct Ceiling {
  const StageTimes* times = nullptr;
  double seconds = kNever;
};

// What a search and its bound look at: the devices that may take part, what they cost and where they may not
// go. Inside a search a device is its place in `devices`. At least `min_devices` must hold a layer; if
// `exact_devices` is not 0, exactly that many take part. Refers to the problem, its tables and times, which
// must outlive it.
class SearchSpace {
 public:
  SearchSpace(const PlanProblem& problem, const ProblemTables& tables, const StageTimes& times,
              std::vector<std::uint32_t> devices, Ceiling ceiling = {});

  std::uint32_t min_devices = 1;
  std::uint32_t exact_devices = 0;

  // The same with some of its devices, given by their places.
  SearchSpace with(const std::vector<std::uint32_t>& places) const;

  std::uint32_t num_units() const { return num_units_; }
  std::uint32_t num_devices() const { return static_cast<std::uint32_t>(devices_.size()); }
  std::uint32_t device(std::uint32_t v) const { return devices_[v]; }
  const std::vector<std::uint32_t>& devices() const { return devices_; }
  Range layers() const { return layers_; }
  const PlanProblem& problem() const { return problem_; }
  const ProblemTables& tables() const { return tables_; }
  const UnitMemory& memory() const { return tables_.memory; }
  const StageTimes& times() const { return times_; }
  const Ceiling& ceiling() const { return ceiling_; }
  std::uint64_t room(std::uint32_t v) const { return room_[v]; }
  std::uint32_t kind(std::uint32_t v) const { return tables_.kinds[devices_[v]]; }
  bool may_close_ring(std::uint32_t v) const { return closes_[v]; }
  bool any_ring() const { return any_ring_; }

  // The furthest end of a stage that begins at `begin`: memory, rules and the ceiling allow every end up to
  // it. Never less for a later `begin`.
  std::uint32_t reach(std::uint32_t v, std::uint32_t begin) const {
    return reach_[v * (num_units_ + std::size_t{1}) + begin];
  }
  double stage(std::uint32_t v, std::uint32_t begin, std::uint32_t end) const {
    return times_.stage(devices_[v], begin, end);
  }
  // kNever where the ceiling forbids them.
  double hop(std::uint32_t from, std::uint32_t to, std::uint32_t cut) const {
    const Link& link = links_[from * devices_.size() + to];
    const double bytes = output_bytes_[cut];
    return bytes * link.busy_per_byte > ceiling_.seconds ? kNever
                                                         : link.latency + bytes * link.seconds_per_byte;
  }
  double entry(std::uint32_t v) const { return entry_[v]; }
  double exit(std::uint32_t v) const { return exit_[v]; }

  // May `v` run [0, prefix) and, after others, also [suffix, num_units)?
  bool may_close(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const;
  // What the last units and the return cost on `v`, which already runs [0, prefix): to be joined to the path
  // so far.
  double closing(std::uint32_t v, std::uint32_t prefix, std::uint32_t suffix) const;

 private:
  struct Link {
    double latency = 0;
    double seconds_per_byte = 0;
    double busy_per_byte = 0;  // as the ceiling counts
  };
  void fill_reach();
  void fill_links();
  double under_ceiling(double seconds, double busy) const {
    return busy > ceiling_.seconds ? kNever : seconds;
  }

  const PlanProblem& problem_;
  const ProblemTables& tables_;
  const StageTimes& times_;
  std::vector<std::uint32_t> devices_;
  Ceiling ceiling_;
  std::uint32_t num_units_;
  Range layers_;
  bool any_ring_ = false;
  std::vector<std::uint64_t> room_;
  std::vector<bool> closes_;
  std::vector<std::uint32_t> reach_;
  std::vector<Link> links_;
  std::vector<double> output_bytes_;  // [cut]: of the unit before it
  std::vector<double> entry_;
  std::vector<double> exit_;
};

}  // namespace shoal
