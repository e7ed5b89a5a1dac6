#pragma once

#include <cstdint>
#include <vector>

#include "base/range.h"
#include "model/model_config.h"

namespace shoal {

// What a step must move and multiply at least, from the model's shape alone: what measured times are held
// against. Pure.
struct StepCosts {
  std::uint64_t weight_bytes = 0;      // of every layer and the head as panels: a decode step reads each once
  std::uint64_t layer_macs = 0;        // multiply-adds of one row's products in all layers
  std::uint64_t head_macs = 0;         // of one wanted row's logits
  std::uint64_t file_bytes = 0;        // of all tensors as the file stores them
  std::uint64_t stored_bytes = 0;      // the same repacked
};
StepCosts step_costs(const ModelConfig& config, const std::vector<TensorSpec>& specs);

// Bytes of keys and values that one row at `position` attends to, in all layers.
std::uint64_t kv_bytes_read(const ModelConfig& config, std::uint32_t position);

}  // namespace shoal
