#include "cli/bench_costs.h"

#include <algorithm>
#include <set>

namespace shoal {

StepCosts step_costs(const ModelConfig& config, const std::vector<TensorSpec>& specs) {
  StepCosts costs;
  costs.weight_bytes = shard_bytes(specs, Range{1, config.num_units()});
  costs.stored_bytes = shard_bytes(specs, Range{0, config.num_units()});
  std::set<std::string> seen;  // a tied head is the embedding's tensor again
  for (const TensorSpec& spec : specs) {
    if (seen.insert(spec.file_name).second) costs.file_bytes += spec.gguf_bytes();
    if (!spec.is_matrix || spec.role == TensorRole::Embedding) continue;
    (spec.role == TensorRole::Head ? costs.head_macs : costs.layer_macs) += spec.rows * spec.cols;
  }
  return costs;
}

std::uint64_t kv_bytes_read(const ModelConfig& config, std::uint32_t position) {
  std::uint64_t positions = 0;
  for (const LayerConfig& layer : config.layers) {
    const std::uint32_t visible = position + 1;
    positions += layer.window == 0 ? visible : std::min(visible, layer.window);
  }
  return positions * config.kv_bytes_per_position_per_layer();
}

}  // namespace shoal
