#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "kernels/kv_blocks.h"
#include "model/model_config.h"
#include "model/op_times.h"

// What steps must read and multiply at least, from the model's shape alone: what measured times are held
// against. All functions are pure.
namespace shoal {

struct ModelCosts {
  std::uint64_t weight_bytes = 0;  // of every layer and the head in panels: a step reads each once
  std::uint64_t layer_macs = 0;    // multiply-adds of one row's products in all layers
  std::uint64_t head_macs = 0;     // of one wanted row's logits
  std::uint64_t file_bytes = 0;    // of all tensors as the file stores them
  std::uint64_t stored_bytes = 0;  // the same, repacked
};
ModelCosts model_costs(const ModelConfig& config, const std::vector<TensorSpec>& specs);

// Steps that take sequences from a first position on, all of them together.
struct Pass {
  std::uint32_t num_sequences = 1;
  std::uint32_t first_position = 0;
  std::uint32_t num_positions = 1;  // of each sequence
  std::uint32_t rows_per_step = 1;  // of each sequence
  bool every_row_wanted = true;     // a token after every row, or after the last alone
  KvType kv_type = KvType::F16;

  std::uint64_t num_rows() const { return std::uint64_t{num_sequences} * num_positions; }
  std::uint64_t num_steps() const { return (num_positions + rows_per_step - 1) / rows_per_step; }
  std::uint64_t num_wanted() const { return every_row_wanted ? num_rows() : num_sequences; }
};

struct Work {
  double bytes = 0;  // read: weights once a step, keys and values once a step and sequence
  double macs = 0;   // of products with weights, each row once
};
Work work_of(const ModelConfig& config, const ModelCosts& costs, const Pass& pass);

// The same by operation; attention also has its multiply-adds, which are of floats. Operations without
// weights have none.
std::array<Work, kNumOperations> work_by_operation(const ModelConfig& config,
                                                   const std::vector<TensorSpec>& specs, const Pass& pass);

}  // namespace shoal
