#include "model/block.h"

#include <algorithm>
#include <array>

#include "model/unit_reader.h"

namespace shoal {

Result<Block> Block::open(const ModelConfig& config, std::uint32_t layer,
                          const std::vector<TensorSpec>& specs, ShardSource& source, const RopeTables& rope) {
  const std::uint64_t hidden = config.hidden_size;
  const std::uint64_t inner = config.intermediate_size;
  const std::uint64_t q_size = std::uint64_t{config.num_heads} * config.head_dim;
  const std::uint64_t kv_size = std::uint64_t{config.num_kv_heads} * config.head_dim;
  UnitReader unit(specs, layer + 1, source);
  Block block(config, layer, rope.kind_of(config.layers[layer]));
  Weights& w = block.weights_;
  w.attn_norm = unit.vector(TensorRole::AttnNorm, hidden);
  w.q = unit.matrix(TensorRole::Q, q_size, hidden);
  w.k = unit.matrix(TensorRole::K, kv_size, hidden);
  w.v = unit.matrix(TensorRole::V, kv_size, hidden);
  if (config.qkv_bias) {
    w.q_bias = unit.vector(TensorRole::QBias, q_size);
    w.k_bias = unit.vector(TensorRole::KBias, kv_size);
    w.v_bias = unit.vector(TensorRole::VBias, kv_size);
  }
  if (config.qk_norm) {
    w.q_norm = unit.vector(TensorRole::QNorm, config.head_dim);
    w.k_norm = unit.vector(TensorRole::KNorm, config.head_dim);
  }
  w.attn_output = unit.matrix(TensorRole::AttnOutput, hidden, q_size);
  if (config.post_norms) w.post_attn_norm = unit.vector(TensorRole::PostAttnNorm, hidden);
  w.ffn_norm = unit.vector(TensorRole::FfnNorm, hidden);
  w.gate = unit.matrix(TensorRole::Gate, inner, hidden);
  w.up = unit.matrix(TensorRole::Up, inner, hidden);
  w.down = unit.matrix(TensorRole::Down, hidden, inner);
  if (config.post_norms) w.post_ffn_norm = unit.vector(TensorRole::PostFfnNorm, hidden);
  if (!unit.status()) return fail(unit.status().error());
  return block;
}

namespace {

// Gate and up products that are activated together: of at least so many panels, and up to so many results of
// each.
constexpr std::size_t kGatedPanels = 4;
constexpr std::size_t kGatedFloats = std::size_t{32} << 10;
// Rows that pass through several operations one after the other: few enough to stay in the first cache.
constexpr std::size_t kRowsTogether = 4;

// function(begin, end, thread) over a few rows at a time, on all threads.
template <typename Function>
void for_rows(const Compute& compute, std::size_t num_rows, Function&& function) {
  compute.pool.parallel_for(num_rows, 1, [&](std::size_t begin, std::size_t end, std::size_t thread) {
    for (std::size_t row = begin; row < end; row += kRowsTogether)
      function(row, std::min(end, row + kRowsTogether), thread);
  });
}

void multiply_with_outliers(const Compute& compute, Operation operation, const QuantisedRows& x,
                            std::span<const Product> products, const Workspace& w) {
  multiply(compute, x, products);
  compute.end(operation);
  add_outlier_terms(compute, x, products, w.second_term);
  compute.end(Operation::SecondTerms);
}

// Rows [begin, end) of x, into `out`.
void quantise_noting(const KernelTable& kernels, const float* x, std::size_t begin, std::size_t end,
                     const QuantisedRows& out, const Workspace& w) {
  kernels.quantise_rows(x + begin * out.cols, end - begin, rows_of(out, begin, end));
  note_outliers(out, begin, end, w.second_term);
}

}  // namespace

void Block::forward(const Compute& compute, const Step& step, const KvCache& kv, Workspace& w) const {
  const QuantisedRows for_attention = normalise_hidden(compute, step, w);
  attend(compute, step, for_attention, kv, w);
  const QuantisedRows for_feed_forward = add_and_normalise(compute, step, w);
  feed_forward(compute, step, for_feed_forward, w);
  add_branch(compute, step, w);
}

QuantisedRows Block::normalise_hidden(const Compute& compute, const Step& step, Workspace& w) const {
  const std::size_t size = config_.hidden_size;
  const QuantisedRows all = quantised_rows_in(w.quantised, step.rows.size(), size, w.branch);
  const Residuals residuals = residuals_in(w.second_term, step.rows.size(), size);
  const bool two_terms = has_second_term(weights_.k) || has_second_term(weights_.v);
  for_rows(compute, step.rows.size(), [&](std::size_t begin, std::size_t end, std::size_t thread) {
    compute.kernels.rms_norm(w.hidden + begin * size, weights_.attn_norm.data(), w.branch + begin * size,
                             end - begin, size, config_.rms_norm_eps);
    quantise_noting(compute.kernels, w.branch, begin, end, all, w);
    if (two_terms) fill_residuals(compute.kernels, all, begin, end, thread, w.second_term, residuals.rows);
  });
  compute.end(Operation::Normalise);
  return all;
}

// Every later token reads the keys and values, so all their rows take both terms.
void Block::multiply_qkv(const Compute& compute, const QuantisedRows& x, Workspace& w) const {
  const std::array products{Product{weights_.q, w.q}, Product{weights_.k, w.k, has_second_term(weights_.k)},
                            Product{weights_.v, w.v, has_second_term(weights_.v)}};
  multiply(compute, x, products, residuals_in(w.second_term, x.num_rows, x.cols));
  compute.end(Operation::QkvProducts);
  add_outlier_terms(compute, x, std::span(products).first(1), w.second_term);
  compute.end(Operation::SecondTerms);
}

void Block::attend(const Compute& compute, const Step& step, const QuantisedRows& x, const KvCache& kv,
                   Workspace& w) const {
  multiply_qkv(compute, x, w);
  for (std::size_t g = 0; g < step.slots.size(); ++g) {
    const std::size_t table = g * kv.table_entries();
    if (step.slots[g] != KvCache::kNoSlot)
      kv.block_tables(step.slots[g], layer_, w.keys + table, w.values + table);
  }
  place_rows(compute, step, kv, w);
  compute.end(Operation::PlaceRows);
  attend_rows(compute, step, kv, w);
  compute.end(Operation::Attention);
  const QuantisedRows attended =
      quantised_rows_in(w.quantised, step.rows.size(), weights_.attn_output.cols, w.attended);
  for_rows(compute, step.rows.size(), [&](std::size_t begin, std::size_t end, std::size_t) {
    quantise_noting(compute.kernels, w.attended, begin, end, attended, w);
  });
  compute.end(Operation::QuantiseAttended);
  multiply_with_outliers(compute, Operation::AttnOutputProduct, attended,
                         std::array{Product{weights_.attn_output, w.branch}}, w);
}

void Block::place_rows(const Compute& compute, const Step& step, const KvCache& kv,
                       const Workspace& w) const {
  compute.pool.parallel_for(step.rows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t row = begin; row < end; ++row) place_row(compute.kernels, step, row, kv, w);
  });
}

// Bias, head norms, rotation; then K and V go to their place in the cache.
void Block::place_row(const KernelTable& kernels, const Step& step, std::size_t row, const KvCache& kv,
                      const Workspace& w) const {
  float* q = w.q + row * weights_.q.rows;
  float* k = w.k + row * weights_.k.rows;
  float* v = w.v + row * weights_.v.rows;
  if (config_.qkv_bias) {
    kernels.add(q, weights_.q_bias.data(), weights_.q.rows);
    kernels.add(k, weights_.k_bias.data(), weights_.k.rows);
    kernels.add(v, weights_.v_bias.data(), weights_.v.rows);
  }
  if (config_.qk_norm) {
    kernels.rms_norm(q, weights_.q_norm.data(), q, config_.num_heads, config_.head_dim, config_.rms_norm_eps);
    kernels.rms_norm(k, weights_.k_norm.data(), k, config_.num_kv_heads, config_.head_dim,
                     config_.rms_norm_eps);
  }
  const std::size_t pairs = config_.rope_dim / 2;
  const std::size_t angles = (rope_kind_ * step.rows.size() + row) * pairs;
  kernels.rope(q, config_.num_heads, config_.head_dim, config_.rope_dim, w.cos + angles, w.sin + angles,
               config_.rope_interleaved);
  kernels.rope(k, config_.num_kv_heads, config_.head_dim, config_.rope_dim, w.cos + angles, w.sin + angles,
               config_.rope_interleaved);
  const RowPlace place = step.rows[row];
  const std::size_t block = place.group * kv.table_entries() + place.position / kKvBlockPositions;
  kernels.kv_store(k, v, kv.shape(), place.position % kKvBlockPositions, w.keys[block], w.values[block]);
}

// Tiles go last to first: of a prompt's rows the last see most, and what is cheap fills the gaps at the end.
void Block::attend_rows(const Compute& compute, const Step& step, const KvCache& kv,
                        const Workspace& w) const {
  const std::size_t group_heads = config_.num_heads / config_.num_kv_heads;
  const std::size_t num_items = step.tiles.size() * config_.num_kv_heads;
  compute.pool.parallel_for(num_items, 1, [&](std::size_t begin, std::size_t end, std::size_t thread) {
    for (std::size_t item = begin; item < end; ++item) {
      const RowTile tile = step.tiles[step.tiles.size() - 1 - item / config_.num_kv_heads];
      const auto first_head = static_cast<std::uint32_t>(item % config_.num_kv_heads * group_heads);
      const Range heads{first_head, first_head + static_cast<std::uint32_t>(group_heads)};
      compute.kernels.attention(attention_rows(tile, step, kv, w), kv.shape(), config_.num_heads, heads,
                                config_.attention_scale, w.attention + thread * w.attention_floats);
    }
  });
}

AttentionRows Block::attention_rows(const RowTile& tile, const Step& step, const KvCache& kv,
                                    const Workspace& w) const {
  const RowPlace first = step.rows[tile.first_row];
  const std::size_t table = first.group * kv.table_entries();
  const std::size_t at = tile.first_row * weights_.q.rows;
  return {w.q + at,         w.attended + at, w.keys + table,
          w.values + table, first.position,  config_.layers[layer_].window,
          tile.num_rows};
}

// Gate and up, a few panels at a time, whose results are activated while they lie in the cache. Outlier rows
// want their second terms first.
void Block::multiply_gated(const Compute& compute, const QuantisedRows& x, Workspace& w) const {
  const std::array products{Product{weights_.gate, w.gate}, Product{weights_.up, w.up}};
  if (any_outlier(w.second_term, x.num_rows)) {
    multiply_with_outliers(compute, Operation::GateUpProducts, x, products, w);
    for_rows(compute, x.num_rows, [&](std::size_t begin, std::size_t end, std::size_t) {
      activate(compute.kernels, {begin, end}, {0, config_.intermediate_size}, w);
    });
    compute.end(Operation::Activate);
    return;
  }
  // A step's gate and up results, 256 KB in all, stay in a core's own cache.
  const std::size_t row_floats = std::max<std::size_t>(x.num_rows, 1) * kPanelRows;
  const std::size_t together = std::max(kGatedPanels, kGatedFloats / row_floats);
  compute.pool.parallel_for(
      weights_.gate.num_panels(), kGatedPanels, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t panel = begin; panel < end; panel += together) {
          const Range panels{static_cast<std::uint32_t>(panel),
                             static_cast<std::uint32_t>(std::min(end, panel + together))};
          for (const Product& product : products)
            compute.kernels.matmul(product.weights, panels, x, product.out, product.weights.rows);
          activate(
              compute.kernels, {0, x.num_rows},
              {panels.begin * kPanelRows, std::min<std::size_t>(panels.end * kPanelRows, weights_.gate.rows)},
              w);
        }
      });
  compute.end(Operation::GateUpProducts);
}

// gate = act(gate) * up, of some rows and columns.
void Block::activate(const KernelTable& kernels, Slice rows, Slice columns, const Workspace& w) const {
  const auto gated = config_.activation == Activation::Silu ? kernels.silu_mul : kernels.gelu_mul;
  for (std::size_t row = rows.begin; row < rows.end; ++row) {
    const std::size_t at = row * config_.intermediate_size + columns.begin;
    gated(w.gate + at, w.up + at, w.gate + at, columns.end - columns.begin);
  }
}

void Block::feed_forward(const Compute& compute, const Step& step, const QuantisedRows& x,
                         Workspace& w) const {
  multiply_gated(compute, x, w);
  const QuantisedRows activated =
      quantised_rows_in(w.quantised, step.rows.size(), config_.intermediate_size, w.gate);
  for_rows(compute, step.rows.size(), [&](std::size_t begin, std::size_t end, std::size_t) {
    quantise_noting(compute.kernels, w.gate, begin, end, activated, w);
  });
  compute.end(Operation::Activate);
  multiply_with_outliers(compute, Operation::DownProduct, activated,
                         std::array{Product{weights_.down, w.branch}}, w);
}

// The attention's branch onto the hidden rows, and these made ready for the feed-forward.
QuantisedRows Block::add_and_normalise(const Compute& compute, const Step& step, Workspace& w) const {
  const std::size_t size = config_.hidden_size;
  const QuantisedRows all = quantised_rows_in(w.quantised, step.rows.size(), size, w.branch);
  for_rows(compute, step.rows.size(), [&](std::size_t begin, std::size_t end, std::size_t) {
    add_rows(compute.kernels, begin, end, weights_.post_attn_norm, w);
    float* branch = w.branch + begin * size;
    compute.kernels.rms_norm(w.hidden + begin * size, weights_.ffn_norm.data(), branch, end - begin, size,
                             config_.rms_norm_eps);
    quantise_noting(compute.kernels, w.branch, begin, end, all, w);
  });
  compute.end(Operation::AddAndNormalise);
  return all;
}

void Block::add_branch(const Compute& compute, const Step& step, Workspace& w) const {
  for_rows(compute, step.rows.size(), [&](std::size_t begin, std::size_t end, std::size_t) {
    add_rows(compute.kernels, begin, end, weights_.post_ffn_norm, w);
  });
  compute.end(Operation::AddBranch);
}

void Block::add_rows(const KernelTable& kernels, std::size_t begin, std::size_t end,
                     std::span<const float> post_norm, Workspace& w) const {
  const std::size_t size = config_.hidden_size;
  float* branch = w.branch + begin * size;
  if (config_.post_norms)
    kernels.rms_norm(branch, post_norm.data(), branch, end - begin, size, config_.rms_norm_eps);
  kernels.add(w.hidden + begin * size, branch, (end - begin) * size);
}

}  // namespace shoal
