#pragma once

#include <cstdint>
#include <vector>

#include "base/range.h"
#include "kernels/kv_blocks.h"
#include "model/model_config.h"

namespace shoal {

// KV lies in blocks of 32 positions; layers with the same window share a block table ("kind"). Kinds are
// numbered by ascending window, unlimited last, over the whole model, so hub and workers count alike.
struct KvKind {
  std::uint32_t window = 0;  // 0: unlimited
  std::vector<std::uint32_t> layers;
};
std::vector<KvKind> kv_kinds(const ModelConfig& config);

// Blocks of each kind, and how all of them are kept. The plan states one budget for the pipeline; every stage
// can hold that many for its own layers.
struct KvBudget {
  std::vector<std::uint32_t> blocks;  // per kind
  KvType type = KvType::F16;
  friend bool operator==(const KvBudget&, const KvBudget&) = default;
};

// The first block that holds a position visible to a row at `position`.
std::uint32_t first_block_in_window(std::uint32_t window, std::uint32_t position);

// Blocks that a sequence of `length` positions holds at most while its last step appended `chunk` rows: a
// windowed kind keeps only blocks not wholly behind the window of the step's first row.
std::uint32_t kv_blocks_needed(const KvKind& kind, std::uint32_t length, std::uint32_t chunk);

// Bytes of `budget` on a worker that holds the layers of units [units).
std::uint64_t kv_bytes(const ModelConfig& config, const KvBudget& budget, Range units);

}  // namespace shoal
