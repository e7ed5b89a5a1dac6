#include "model/kv_budget.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/kernel_table.h"

namespace shoal {
namespace {

// Ascending windows, unlimited (written 0) last.
bool narrower(std::uint32_t a, std::uint32_t b) { return a != 0 && (b == 0 || a < b); }

}  // namespace

std::vector<KvKind> kv_kinds(const ModelConfig& config) {
  std::vector<KvKind> kinds;
  for (std::uint32_t layer = 0; layer < config.num_layers; ++layer) {
    const std::uint32_t window = config.layers[layer].window;
    auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const KvKind& k) { return k.window == window; });
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), KvKind{window, {}});
    kind->layers.push_back(layer);
  }
  std::sort(kinds.begin(), kinds.end(),
            [](const KvKind& a, const KvKind& b) { return narrower(a.window, b.window); });
  return kinds;
}

std::uint32_t first_block_in_window(std::uint32_t window, std::uint32_t position) {
  if (window == 0 || position < window) return 0;
  return (position - window + 1) / static_cast<std::uint32_t>(kKvBlockPositions);
}

std::uint32_t kv_blocks_needed(const KvKind& kind, std::uint32_t length, std::uint32_t chunk) {
  const std::uint32_t end = static_cast<std::uint32_t>(div_ceil(length, kKvBlockPositions));
  return end - first_block_in_window(kind.window, length - std::min(chunk, length));
}

std::uint64_t kv_bytes(const ModelConfig& config, const KvBudget& budget, Range units) {
  const std::vector<KvKind> kinds = kv_kinds(config);
  SHOAL_CHECK(budget.blocks.size() == kinds.size());
  const std::uint64_t block_bytes = config.kv_shape(budget.type).block_bytes();
  std::uint64_t bytes = 0;
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    const auto here = std::count_if(kinds[k].layers.begin(), kinds[k].layers.end(),
                                    [&](std::uint32_t layer) { return units.contains(layer + 1); });
    bytes += static_cast<std::uint64_t>(here) * budget.blocks[k] * block_bytes;
  }
  return bytes;
}

}  // namespace shoal
