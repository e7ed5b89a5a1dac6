#pragma once

#include <cstdint>

#include "base/ids.h"

namespace shoal {

// Bounds of one step, so that its header frame stays below 4 KB (docs/WIRE_FORMAT.md).
inline constexpr std::uint32_t kMaxRowsPerStep = 512;
inline constexpr std::uint32_t kMaxGroupsPerStep = 32;

// Steps of about the same size take about the same time for each row, so measurements are kept by class: one
// row, up to 8, up to 32, up to 128, and more.
inline constexpr std::uint32_t kNumRowClasses = 5;
constexpr std::uint32_t row_class_of(std::uint32_t rows) {
  return rows <= 1 ? 0 : rows <= 8 ? 1 : rows <= 32 ? 2 : rows <= 128 ? 3 : 4;
}

// What is asked of a group's rows. Values travel on the wire.
enum GroupFlag : std::uint32_t {
  kWantsLastRow = 1,  // candidates after the group's last row
  kWantsAllRows = 2,  // candidates after every row (scoring)
  kWantsDigest = 4,   // with either: a hash of each wanted row's logits
  kCloses = 8,        // num_rows == 0: the sequence is over, free what it holds
};

// The rows of one sequence that travel together in one step.
struct RowGroup {
  SequenceId sequence{};
  StepNumber step{};
  std::uint32_t first_position = 0;
  std::uint32_t num_rows = 0;
  std::uint32_t adapter = 0;  // 0: none (LoRA comes later)
  std::uint32_t flags = 0;
  TokenId next_id = -1;  // the id that follows the last row where it is known (scoring), else -1

  std::uint32_t num_wanted() const {
    if (flags & kWantsAllRows) return num_rows;
    return (flags & kWantsLastRow) && num_rows > 0 ? 1 : 0;
  }
  friend bool operator==(const RowGroup&, const RowGroup&) = default;
};

}  // namespace shoal
