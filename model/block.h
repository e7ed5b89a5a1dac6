#pragma once

#include <cstdint>
#include <span>

#include "model/kv_cache.h"
#include "model/model_config.h"
#include "model/products.h"
#include "model/rope_tables.h"
#include "model/shard_source.h"
#include "model/workspace.h"

namespace shoal {

// The rows that travel together through a stage.
struct Step {
  std::span<const RowPlace> rows;        // of every group, in order
  std::span<const std::uint32_t> slots;  // per group: its sequence's slot in the KV cache
  std::span<const RowTile> tiles;        // of all rows, in order
};

// One layer of the transformer: normalise, attend, add, normalise, feed forward, add. Weights are views into
// a shard source. forward is called by the compute thread, allocates nothing and cannot fail: room for the
// step's rows was admitted before. Sources: Vaswani et al. 2017; Ainslie et al. 2023 (GQA); Shazeer 2020
// (gated feed-forward); Gemma 3 report 2025 (post-norms).
class Block {
 public:
  // layer: of the model. Errors: Corrupt (a tensor of another shape), and what the source says. `config`
  // outlives the block.
  static Result<Block> open(const ModelConfig& config, std::uint32_t layer,
                            const std::vector<TensorSpec>& specs, ShardSource& source,
                            const RopeTables& rope);

  // w.hidden [rows, hidden_size], in place. w.cos and w.sin hold the rows' angles.
  void forward(const Compute& compute, const Step& step, const KvCache& kv, Workspace& w) const;

 private:
  struct Weights {
    std::span<const float> attn_norm, post_attn_norm, ffn_norm, post_ffn_norm;
    std::span<const float> q_bias, k_bias, v_bias, q_norm, k_norm;
    PanelMatrix q, k, v, attn_output, gate, up, down;
  };
  Block(const ModelConfig& config, std::uint32_t layer, std::size_t rope_kind)
      : config_(config), layer_(layer), rope_kind_(rope_kind) {}

  QuantisedRows normalise_hidden(const Compute& compute, const Step& step, Workspace& w) const;
  void multiply_qkv(const Compute& compute, const QuantisedRows& x, Workspace& w) const;
  void attend(const Compute& compute, const Step& step, const QuantisedRows& x, const KvCache& kv,
              Workspace& w) const;
  void place_rows(const Compute& compute, const Step& step, const KvCache& kv, const Workspace& w) const;
  void place_row(const KernelTable& kernels, const Step& step, std::size_t row, const KvCache& kv,
                 const Workspace& w) const;
  AttentionRows attention_rows(const RowTile& tile, const Step& step, const KvCache& kv,
                               const Workspace& w) const;
  void attend_rows(const Compute& compute, const Step& step, const KvCache& kv, const Workspace& w) const;
  struct Slice {
    std::size_t begin;
    std::size_t end;
  };
  void multiply_gated(const Compute& compute, const QuantisedRows& x, Workspace& w) const;
  void activate(const KernelTable& kernels, Slice rows, Slice columns, const Workspace& w) const;
  void feed_forward(const Compute& compute, const Step& step, const QuantisedRows& x, Workspace& w) const;
  QuantisedRows add_and_normalise(const Compute& compute, const Step& step, Workspace& w) const;
  void add_branch(const Compute& compute, const Step& step, Workspace& w) const;
  void add_rows(const KernelTable& kernels, std::size_t begin, std::size_t end,
                std::span<const float> post_norm, Workspace& w) const;

  const ModelConfig& config_;
  std::uint32_t layer_;
  std::size_t rope_kind_;
  Weights weights_;
};

}  // namespace shoal
