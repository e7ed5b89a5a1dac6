#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/kernel_table.h"
#include "model/kv_budget.h"

namespace shoal {

// Blocks that a sequence on its way to `length` positions holds at most at any time. What a window leaves
// rises and falls with the place of the last position in its block, so the length alone says too little: a
// period of it does.
inline std::uint32_t most_kv_blocks_until(const KvKind& kind, std::uint32_t length, std::uint32_t chunk) {
  std::uint32_t most = 0;
  const std::uint32_t period = std::min<std::uint32_t>(length, kKvBlockPositions);
  for (std::uint32_t back = 0; back < period; ++back)
    most = std::max(most, kv_blocks_needed(kind, length - back, chunk));
  return most;
}

// The hub's account of KV blocks, per kind. Every stage holds the same number of blocks, so one account
// serves the pipeline.
class KvLedger {
 public:
  void reset(const KvBudget& budget) { free_ = budget.blocks; }

  // Raises `held` to `wanted` (per kind) if the blocks are there, all kinds or none.
  bool raise(std::vector<std::uint32_t>& held, const std::vector<std::uint32_t>& wanted) {
    held.resize(free_.size(), 0);
    for (std::size_t kind = 0; kind < free_.size(); ++kind) {
      if (wanted[kind] > held[kind] && wanted[kind] - held[kind] > free_[kind]) return false;
    }
    for (std::size_t kind = 0; kind < free_.size(); ++kind) {
      if (wanted[kind] <= held[kind]) continue;
      free_[kind] -= wanted[kind] - held[kind];
      held[kind] = wanted[kind];
    }
    return true;
  }

  void give_back(std::vector<std::uint32_t>& held) {
    for (std::size_t kind = 0; kind < held.size() && kind < free_.size(); ++kind) free_[kind] += held[kind];
    held.clear();
  }

  const std::vector<std::uint32_t>& free_blocks() const { return free_; }

 private:
  std::vector<std::uint32_t> free_;
};

}  // namespace shoal
