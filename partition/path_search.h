#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <vector>

#include "partition/completion_bound.h"
#include "partition/plan.h"

namespace shoal {

struct SearchLimits {
  std::size_t beam_width = std::numeric_limits<std::size_t>::max();  // partial plans kept per unit boundary
  std::size_t max_labels = 3'000'000;                                // partial plans in all, 48 bytes each
};

struct SearchOutcome {
  std::vector<PlannedStage> stages;  // empty: no plan found
  double objective = kNever;
  bool complete = false;   // nothing was cut off: the plan is the best, or none exists
  double lower_bound = 0;  // no plan that was asked for takes less
  bool found() const { return !stages.empty(); }
};

// `a` is to be preferred to `b`: clearly less time, or equal (to rounding), fewer devices, then lower
// indices.
bool better(const SearchOutcome& a, const SearchOutcome& b);

inline constexpr std::uint32_t kMaxSearchDevices = 64;

// Dynamic programme over (set of devices used, last device, next unit), with memory checked per range, which
// keeps it exact; a first device that is to run the last units too is part of the state. Partial plans that
// the completion bound, at these prices, shows to be no better than the incumbent are dropped.
// Interchangeable devices are used in order of their index only. One search may run several times (a beam for
// a first incumbent, then in full). At most kMaxSearchDevices devices.
class PathSearch {
 public:
  explicit PathSearch(const SearchSpace& space, const DevicePrices& prices = {});

  // The best plan not worse than `incumbent` (whose plan is returned where nothing better exists). When the
  // times are not sums, only a strictly better plan replaces it.
  SearchOutcome run(const SearchLimits& limits, const SearchOutcome& incumbent);

 private:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  // A partial plan: units [0, end) are placed, the last of them on `last`.
  struct Label {
    std::uint64_t used = 0;  // set of devices
    double cost = 0;
    double unpaid = 0;  // prices of the devices that are not used
    std::uint32_t parent = kNone;
    std::uint16_t end = 0;
    std::uint16_t last = 0;
    std::uint16_t closing = 0;        // the device that must run the last units too; num_devices: none
    std::uint16_t prefix = 0;         // where the first stage ends, if closing
    std::uint16_t closing_class = 0;  // what of the prefix still matters; see closing_class()
    std::uint16_t bare = 0;  // devices without a layer, doubled; the lowest bit: the closing device is one
  };

  struct Slot {
    std::uint32_t id = kNone;  // of a label
    std::uint32_t tag = 0;     // half of its hash: most other labels differ in it
  };

  void find_reaches(std::uint32_t v);
  void begin_run(const SearchLimits& limits, const SearchOutcome& incumbent);
  void add_first_stages();
  void expand(std::uint32_t id);
  void extend(const Label& from, std::uint32_t from_id, std::uint32_t w);
  void close(const Label& from, std::uint32_t from_id);
  void finish(double cost, const Label& last_label, std::uint32_t parent, PlannedStage final_stage);
  void insert(const Label& label);
  void keep_best(std::vector<std::uint32_t>& layer) const;
  void grow_table();

  bool hopeless(double bound) const;
  bool can_finish(const Label& label) const;
  double bound_of(const Label& label) const;
  std::uint32_t further_devices(const Label& label) const;
  std::uint32_t closing_class(std::uint32_t device, std::uint32_t prefix, std::uint32_t end) const;
  std::uint16_t bare_after(const Label& from, std::uint32_t begin, std::uint32_t end) const;
  bool is_next_of_its_kind(std::uint64_t used, std::uint32_t v) const;
  Slot& slot_of(const Label& label);

  const SearchSpace& space_;
  double all_prices_;
  CompletionBound open_bound_;
  std::vector<std::optional<CompletionBound>> closing_bounds_;  // per closing device; none for too many
  std::optional<CompletionBound> either_bound_;                 // then this one serves for all that close
  std::vector<std::uint32_t> first_suffix_;  // [device][prefix]: least suffix that fits beside the prefix
  std::vector<std::uint32_t> same_before_;   // the last of its kind before it, or kNone
  std::vector<std::uint32_t> by_reach_;      // devices by most units in one stage, most first
  std::vector<std::uint32_t> most_units_;    // per device, in one stage

  SearchLimits limits_;
  SearchOutcome best_;
  bool cut_off_ = false;
  std::vector<Label> labels_;
  std::vector<std::vector<std::uint32_t>> layers_;  // label ids by end
  std::vector<Slot> table_;                         // open addressing
};

}  // namespace shoal
