#include "cli/bench_costs.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

namespace shoal {
namespace {

// Positions that a row sees, in all layers together.
std::uint64_t positions_seen(const ModelConfig& config, std::uint32_t position) {
  std::uint64_t seen = 0;
  for (const LayerConfig& layer : config.layers)
    seen += layer.window == 0 ? position + 1 : std::min(position + 1, layer.window);
  return seen;
}

// A step reads for each sequence at least what its last row sees.
double kv_bytes(const ModelConfig& config, const Pass& pass) {
  std::uint64_t positions = 0;
  for (std::uint32_t first = 0; first < pass.num_positions; first += pass.rows_per_step) {
    const std::uint32_t end = std::min(first + pass.rows_per_step, pass.num_positions);
    positions += positions_seen(config, pass.first_position + end - 1);
  }
  return static_cast<double>(positions * pass.num_sequences * config.kv_shape(pass.kv_type).position_bytes());
}

// Scores and weighted values of every row and head.
double attention_macs(const ModelConfig& config, const Pass& pass) {
  std::uint64_t positions = 0;
  for (std::uint32_t i = 0; i < pass.num_positions; ++i)
    positions += positions_seen(config, pass.first_position + i);
  return static_cast<double>(positions * pass.num_sequences * 2 * config.num_heads * config.head_dim);
}

std::optional<Operation> product_of(TensorRole role) {
  switch (role) {
    case TensorRole::Q:
    case TensorRole::K:
    case TensorRole::V:
      return Operation::QkvProducts;
    case TensorRole::AttnOutput:
      return Operation::AttnOutputProduct;
    case TensorRole::Gate:
    case TensorRole::Up:
      return Operation::GateUpProducts;
    case TensorRole::Down:
      return Operation::DownProduct;
    case TensorRole::Head:
      return Operation::HeadProduct;
    default:
      return std::nullopt;
  }
}

}  // namespace

ModelCosts model_costs(const ModelConfig& config, const std::vector<TensorSpec>& specs) {
  ModelCosts costs;
  costs.weight_bytes = shard_bytes(specs, Range{1, config.num_units()});
  costs.stored_bytes = shard_bytes(specs, Range{0, config.num_units()});
  std::set<std::string> seen;  // a tied head is the embedding's tensor again
  for (const TensorSpec& spec : specs) {
    if (seen.insert(spec.file_name).second) costs.file_bytes += spec.gguf_bytes();
    if (!product_of(spec.role)) continue;
    (spec.role == TensorRole::Head ? costs.head_macs : costs.layer_macs) += spec.rows * spec.cols;
  }
  return costs;
}

Work work_of(const ModelConfig& config, const ModelCosts& costs, const Pass& pass) {
  return {
      .bytes = static_cast<double>(pass.num_steps() * costs.weight_bytes) + kv_bytes(config, pass),
      .macs = static_cast<double>(pass.num_rows() * costs.layer_macs + pass.num_wanted() * costs.head_macs)};
}

std::array<Work, kNumOperations> work_by_operation(const ModelConfig& config,
                                                   const std::vector<TensorSpec>& specs, const Pass& pass) {
  std::array<Work, kNumOperations> work{};
  const auto at = [&](Operation operation) -> Work& { return work[static_cast<std::size_t>(operation)]; };
  for (const TensorSpec& spec : specs) {
    const std::optional<Operation> operation = product_of(spec.role);
    if (!operation) continue;
    const std::uint64_t rows = spec.role == TensorRole::Head ? pass.num_wanted() : pass.num_rows();
    const Work product{.bytes = static_cast<double>(pass.num_steps() * spec.stored_bytes()),
                       .macs = static_cast<double>(rows * spec.rows * spec.cols)};
    const auto add = [&](Operation to) {
      at(to).bytes += product.bytes;
      at(to).macs += product.macs;
    };
    add(*operation);
    // Every row of keys and values has a second term; which other rows have one depends on their values.
    if (spec.role == TensorRole::K || spec.role == TensorRole::V) add(Operation::SecondTerms);
  }
  at(Operation::Attention) = {.bytes = kv_bytes(config, pass), .macs = attention_macs(config, pass)};
  return work;
}

}  // namespace shoal
