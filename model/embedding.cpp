#include "model/embedding.h"

#include "model/unit_reader.h"

namespace shoal {

Result<Embedding> Embedding::open(const ModelConfig& config, const std::vector<TensorSpec>& specs,
                                  ShardSource& source) {
  UnitReader unit(specs, 0, source);
  const PanelMatrix matrix = unit.matrix(TensorRole::Embedding, config.vocab_size, config.hidden_size);
  if (!unit.status()) return fail(unit.status().error());
  return Embedding(matrix, config.embedding_scale);
}

void Embedding::forward(const Compute& compute, std::span<const TokenId> ids, Workspace& w) const {
  compute.pool.parallel_for(ids.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t row = begin; row < end; ++row) {
      float* out = w.hidden + row * matrix_.cols;
      dequantise_row(matrix_, static_cast<std::size_t>(ids[row]), out);
      if (scale_ != 1.0f) compute.kernels.scale(out, scale_, matrix_.cols);
    }
  });
  compute.end(Operation::Embedding);
}

}  // namespace shoal
