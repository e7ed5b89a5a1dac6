#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/micro_batch.h"
#include "base/range.h"
#include "coordinator/robust_average.h"
#include "model/model_config.h"
#include "transport/messages.h"

namespace shoal {

// How fast one device runs each unit of the model: what plans are made from and predictions judged by.
// Seconds, as in LayerProfile.
struct UnitSpeed {
  double batch1 = 0;
  double batch32 = 0;
  double per_1k_context = 0;
  double chunk = 0;  // 0: not measured, the line through the other two goes on
  double chunk_per_1k_context = 0;
  std::uint32_t window = 0;  // 0: attends to all
};
struct DeviceSpeed {
  std::vector<UnitSpeed> units;  // one per unit of the model
  double hand_over = 0;          // per visit
};

// One step as a stage meets it, or the mean of several.
struct Visit {
  double rows = 1;
  double wanted_rows = 1;  // that the head answers
  double context = 0;      // mean position of the rows
};

Visit visit_of(std::span<const RowGroup> groups);
Visit mean_visit(const StageWork& work);

// Positions that a row at `position` attends to.
double attended_positions(std::uint32_t window, double position);

// Computing these units for one visit, hand-over left out. Up to 32 rows partition/cost.h's formula, with a
// window bounding the context; beyond, rows of one prompt: linear between 32 rows and a whole chunk, plus
// what the positions before the chunk add. The head meets the wanted rows only.
double compute_seconds(const DeviceSpeed& speed, Range units, const Visit& visit);

// What steps really took over what the uncorrected profile says, by size of step. Averages over beats, so
// that a stall in one of them does not count.
class SpeedCorrection {
 public:
  void add(std::uint32_t row_class, double ratio) { factors_[row_class].add(ratio); }
  // Of that class, else of the next smaller one that is known, else of the next greater; nothing while no
  // class has enough samples.
  std::optional<double> factor(std::uint32_t row_class) const;
  void clear() { *this = {}; }

 private:
  std::array<RobustAverage, kNumRowClasses> factors_;
};

// The factors that scale a profile's figures: for one row, for a batch, for a chunk.
struct SpeedFactors {
  double one_row = 1;
  double batch = 1;
  double chunk = 1;
};

// `representatives`: for each unit of the model the unit whose measurement stands for it. Units that the
// report lacks take no time.
DeviceSpeed speed_from(const ProfileReport& report, const std::vector<std::uint32_t>& representatives,
                       const ModelConfig& config, const SpeedFactors& factors);

}  // namespace shoal
