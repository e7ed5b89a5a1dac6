#pragma once

#include <span>

#include "base/result.h"
#include "kernels/panels.h"
#include "model/model_config.h"

namespace shoal {

// Where a stage finds its tensors: a worker's disk store (mapped), or a GGUF file repacked in memory. What is
// returned stays valid as long as the source; asking twice gives the same memory (a tied head is one copy).
class ShardSource {
 public:
  virtual ~ShardSource() = default;
  virtual Result<PanelMatrix> matrix(const TensorSpec& spec) = 0;
  virtual Result<std::span<const float>> vector(const TensorSpec& spec) = 0;
};

}  // namespace shoal
