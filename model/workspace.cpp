#include "model/workspace.h"

#include <algorithm>

#include "model/rope_tables.h"

namespace shoal {
namespace {

void lay_out_layers(Arena& arena, Workspace& w, const StageSpec& spec, const ModelConfig& config,
                    std::size_t num_threads) {
  const std::size_t rows = spec.max_rows;
  const std::size_t q_size = std::size_t{config.num_heads} * config.head_dim;
  const std::size_t kv_size = std::size_t{config.num_kv_heads} * config.head_dim;
  const auto attention = [&](Arena& part) {
    w.q = part.take<float>(rows * q_size);
    w.k = part.take<float>(rows * kv_size);
    w.v = part.take<float>(rows * kv_size);
    w.attended = part.take<float>(rows * q_size);
    return part.used();
  };
  const auto feed_forward = [&](Arena& part) {
    w.gate = part.take<float>(rows * config.intermediate_size);
    w.up = part.take<float>(rows * config.intermediate_size);
    return part.used();
  };
  Arena count_attention(nullptr), count_feed_forward(nullptr);
  std::byte* shared =
      arena.take<std::byte>(std::max(attention(count_attention), feed_forward(count_feed_forward)));
  Arena attention_part(shared), feed_forward_part(shared);
  attention(attention_part);
  feed_forward(feed_forward_part);

  const std::size_t second_rows = std::min(kSecondTermRows, rows);
  const std::size_t widest_input =
      std::max<std::size_t>({config.hidden_size, q_size, config.intermediate_size});
  const std::size_t widest_output =
      std::max<std::size_t>({config.hidden_size, q_size, kv_size, config.intermediate_size});
  w.second_term.rows = arena.take<std::uint32_t>(rows);
  w.second_term.residual = arena.take<float>(second_rows * widest_input);
  w.second_term.quantised = arena.take<std::byte>(quantised_rows_bytes(second_rows, widest_input));
  w.second_term.products = arena.take<float>(second_rows * widest_output);

  // Of all the model's kinds, so that stages of whichever layers take the same scratch: a plan states it
  // once.
  const std::size_t angles = num_rope_kinds(config, {0, config.num_layers}) * rows * (config.rope_dim / 2);
  w.cos = arena.take<float>(angles);
  w.sin = arena.take<float>(angles);
  w.attention_floats = align_up(attention_scratch_floats(config.num_heads, config.head_dim), 16);
  w.attention = arena.take<float>(num_threads * w.attention_floats);
  w.tiles = arena.take<RowTile>(rows);
  const std::size_t tables = kMaxGroupsPerStep * div_ceil(spec.max_context, kKvBlockPositions);
  w.keys = arena.take<std::byte*>(tables);
  w.values = arena.take<std::byte*>(tables);
}

void lay_out_head(Arena& arena, Workspace& w, const StageSpec& spec, const ModelConfig& config,
                  std::size_t num_threads) {
  const std::size_t rows = head_rows_of(spec.head_blocks, config).size();
  w.wanted = arena.take<WantedRow>(spec.max_rows);
  w.logits = arena.take<float>(2 * std::min<std::size_t>(kHeadTileRows, spec.max_rows) * rows);
  w.candidates = arena.take<float>(num_threads * 2 * rows);
}

}  // namespace

Workspace Workspace::lay_out(Arena& arena, const StageSpec& spec, const ModelConfig& config,
                             std::size_t num_threads) {
  Workspace w;
  const bool has_layers = !layers_of(spec.units, config).empty();
  const bool has_head = !spec.head_blocks.empty();
  const std::size_t rows = spec.max_rows;
  w.hidden = arena.take<float>(rows * config.hidden_size);
  w.rows = arena.take<RowPlace>(rows);
  if (has_layers || has_head) {
    std::size_t widest = config.hidden_size;
    if (has_layers)
      widest = std::max<std::size_t>(
          {widest, std::size_t{config.num_heads} * config.head_dim, config.intermediate_size});
    const std::size_t head_rows = has_head ? 2 * std::min(kHeadTileRows, rows) : 0;
    w.branch = arena.take<float>(std::max(rows, head_rows) * config.hidden_size);
    w.quantised = arena.take<std::byte>(quantised_rows_bytes(std::max(rows, head_rows), widest));
  }
  if (has_layers) lay_out_layers(arena, w, spec, config, num_threads);
  if (has_head) lay_out_head(arena, w, spec, config, num_threads);
  return w;
}

Range layers_of(Range units, const ModelConfig& config) {
  const std::uint32_t begin = std::max(units.begin, 1u) - 1;
  const std::uint32_t end = std::min(units.end, config.head_unit()) - std::min(units.end, 1u);
  return Range{std::min(begin, end), end};
}

Range head_rows_of(Range blocks, const ModelConfig& config) {
  const auto row = [&](std::uint32_t block) {
    return static_cast<std::uint32_t>(
        std::min<std::uint64_t>(std::uint64_t{block} * kHeadBlockRows, config.vocab_size));
  };
  return Range{row(blocks.begin), row(blocks.end)};
}

}  // namespace shoal
