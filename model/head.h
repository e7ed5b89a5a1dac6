#pragma once

#include <span>
#include <vector>

#include "model/model_config.h"
#include "model/products.h"
#include "model/shard_source.h"
#include "model/stage_backend.h"
#include "model/workspace.h"

namespace shoal {

// The output norm and a slice of the output matrix, up to the candidates. Weights are views into a shard
// source.
class Head {
 public:
  // blocks: of 1,024 vocabulary rows. `config` outlives the head.
  static Result<Head> open(const ModelConfig& config, Range blocks, const std::vector<TensorSpec>& specs,
                           ShardSource& source);

  // What is asked about the wanted rows. histories: per group, the ids of its sequence from position 0 to at
  // least its last row.
  struct Request {
    std::span<const WantedRow> wanted;
    std::span<const RowGroup> groups;
    std::span<const SamplingParams* const> sampling;  // per group, or empty
    std::span<const std::uint32_t> depth;             // per group, or empty: candidate_depth
    std::span<const std::span<const TokenId>> histories;
  };
  // One CandidateRow per wanted row, in order; `rows` has that many.
  void forward(const Compute& compute, const Request& request, Workspace& w,
               std::span<CandidateRow> rows) const;

 private:
  Head(const ModelConfig& config, Range blocks) : config_(config), blocks_(blocks) {}
  void make_logits(const Compute& compute, std::size_t num_rows, Workspace& w) const;
  void add_second_term(const Compute& compute, const QuantisedRows& all, std::size_t row, Workspace& w) const;
  void fill_row(const KernelTable& kernels, const Request& request, const WantedRow& wanted,
                std::span<const float> logits, std::span<float> scratch, CandidateRow& row) const;

  const ModelConfig& config_;
  Range blocks_;
  std::span<const float> norm_;
  PanelMatrix slice_;
};

}  // namespace shoal
