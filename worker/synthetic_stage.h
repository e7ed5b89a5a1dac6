#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/model_config.h"
#include "model/stage_backend.h"

namespace shoal {

// A model cut down to what is to be timed: the same shapes and types, made-up weights.
struct SyntheticModel {
  ModelConfig config;
  std::vector<TensorSpec> tensors;
  Range units;       // the stage to be timed
  double scale = 1;  // what the units of the real model cost, over what this stage costs

  std::uint64_t weight_bytes() const { return shard_bytes(tensors, units); }
};

// `count` layers in a row, each as layer unit `unit` of the model is. scale: one of them.
SyntheticModel repeated_layer(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                              std::uint32_t unit, std::uint32_t count);
// The embedding or the head. Both are linear in the vocabulary: of a large one as many rows as `most_bytes`
// hold stand for the whole, so that a small device can measure it.
SyntheticModel vocabulary_slice(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                std::uint32_t unit, std::uint64_t most_bytes);

struct SyntheticSize {
  std::uint32_t max_rows = 1;       // of a step
  std::uint32_t max_context = 1;    // positions of a sequence
  std::uint32_t max_sequences = 1;  // at once, each with up to max_context / max_sequences positions, or one
                                    // with all
};

// A real stage over made-up weights. Compute thread; blocks.
class SyntheticStage {
 public:
  // Errors: OutOfMemory; InvalidArgument where the tensors are not what the units need.
  static Result<SyntheticStage> open(SyntheticModel model, const SyntheticSize& size,
                                     const KernelTable& kernels, ThreadPool& pool);
  SyntheticStage(SyntheticStage&&) noexcept;
  ~SyntheticStage();

  // One step of these groups; the rows' values are the same each time.
  Status run(const std::vector<RowGroup>& groups);

 private:
  class Source;
  SyntheticStage(SyntheticModel model, const SyntheticSize& size);

  SyntheticModel model_;
  std::vector<TokenId> ids_;
  std::vector<float> hidden_;
  std::unique_ptr<Source> source_;
  std::unique_ptr<StageBackend> stage_;
  StageOutput output_;
};

}  // namespace shoal
