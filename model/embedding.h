#pragma once

#include <span>

#include "model/model_config.h"
#include "model/products.h"
#include "model/shard_source.h"
#include "model/workspace.h"

namespace shoal {

// The embedding: a row lookup, scaled where the architecture says so. The matrix is a view into a shard
// source.
class Embedding {
 public:
  static Result<Embedding> open(const ModelConfig& config, const std::vector<TensorSpec>& specs,
                                ShardSource& source);

  // w.hidden [ids.size(), hidden_size]. Every id is in [0, vocab_size).
  void forward(const Compute& compute, std::span<const TokenId> ids, Workspace& w) const;

 private:
  Embedding(PanelMatrix matrix, float scale) : matrix_(matrix), scale_(scale) {}

  PanelMatrix matrix_;
  float scale_;
};

}  // namespace shoal
