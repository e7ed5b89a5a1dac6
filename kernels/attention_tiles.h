#pragma once

#include "kernels/kernel_table.h"

// How every vector instruction set walks through attention. Rows of one sequence and the heads that share a
// key head form a tile; a tile takes one chunk of positions after the other, and inside a chunk a few queries
// at a time, whose sums stay in registers. The arithmetic on vectors is the instruction set's `Vectors`:
// - scores<Q>(q, kv, head_dim, first, end, scores): q.k of the chunk's positions [16*first, 16*end)
// - weigh(scores, begin, end, scale): scores become weights; their maximum and sum
// - values<Q>(weights, kv, head_dim, begin, end, sums, merging): weighted values, positions ascending; added
//   to sums, or from 0 on and then merged
// - merge(own, merging, query, head_dim)
// - powers(x): 16 numbers, none above 0, become exp(x)
// - keys_to_float, values_to_float: one f16 block
// - q8_keys_to_float, q8_values_to_float: one q8 block, with its scales as f32
// - clear(x, n), scale(x, by, n)
// Measured on one Sapphire Rapids core with AVX-512: a query of 64 dimensions takes 415 cycles a chunk in a
// full tile, of which its 512 FMAs alone would take 256; with the ten loads that every 24 of them need, a
// bare loop reaches 88 % of the FMA peak. One row with 9 query and 3 key heads: 45 to 60 ns a position and
// layer. Each instruction set's file includes this for a private copy.
namespace shoal {
namespace {

constexpr std::size_t kQueriesTogether =
    6;  // six by four vectors of sums fill AVX-512's registers, six by two AVX2's
constexpr std::size_t kTileRows = kAttentionTileRows;
constexpr std::size_t kUnit = 16;  // positions that are scored together

constexpr std::size_t least(std::size_t a, std::size_t b) { return a < b ? a : b; }
constexpr std::size_t greatest(std::size_t a, std::size_t b) { return a > b ? a : b; }
constexpr std::size_t padded(std::size_t head_dim) { return (head_dim + kUnit - 1) / kUnit * kUnit; }

// Positions of one chunk, counted from its start.
struct Seen {
  std::size_t begin;
  std::size_t end;

  bool empty() const { return begin >= end; }
};

// One chunk's keys and values of one head: where they lie, and as f32 where many queries share them.
struct ChunkKv {
  const std::byte* keys[2];  // per block; null where no row of the tile sees it
  const std::byte* values[2];
  const std::byte* next_keys[2];  // of the chunk that comes next, to be fetched early; or these again
  const std::byte* next_values[2];
  const float* key_scales;    // [scale blocks, 64] of q8; null: f16
  const float* value_scales;  // as key_scales
  const float* float_keys;    // [head_dim, 64]; null: use the above
  const float* float_values;  // [64, padded(head_dim)]
};

inline const std::uint16_t* halves_at(const std::byte* bytes) {
  return reinterpret_cast<const std::uint16_t*>(bytes);
}

// Up to six queries that are computed together: some heads of some rows.
struct Group {
  std::size_t first_row;
  std::size_t num_rows;
  std::size_t first_head;
  std::size_t num_heads;

  std::size_t num_queries() const { return num_rows * num_heads; }
};

// How each query of a group takes up its newest chunk: out = fma(out, keep, own * take), or own where it
// begins.
constexpr std::size_t kQueryLanes = 8;
struct Merging {
  alignas(64) float powers[2 * kQueryLanes];
  float* out[kQueriesTogether];
  bool begins[kQueriesTogether];

  float keep(std::size_t i) const { return powers[i]; }
  float take(std::size_t i) const { return powers[kQueryLanes + i]; }
};

template <std::size_t N>
struct Count {};

// function(Count<n>{}), n in [1, 6].
template <typename Function>
void with_count(std::size_t n, Function&& function) {
  static_assert(kQueriesTogether == 6);
  switch (n) {
    case 1:
      return function(Count<1>{});
    case 2:
      return function(Count<2>{});
    case 3:
      return function(Count<3>{});
    case 4:
      return function(Count<4>{});
    case 5:
      return function(Count<5>{});
    default:
      return function(Count<6>{});
  }
}

// The scratch of one thread, in floats.
class TileScratch {
 public:
  TileScratch(float* memory, std::size_t num_heads, std::size_t head_dim) : memory_(memory) {
    keys = take(kAttentionChunk * head_dim);
    values = take(kAttentionChunk * padded(head_dim));
    const std::size_t scale_blocks = (head_dim + kKvScaleDims - 1) / kKvScaleDims;
    key_scales = take(kAttentionChunk * scale_blocks);
    value_scales = take(kAttentionChunk * scale_blocks);
    scores = take(kQueriesTogether * kAttentionChunk);
    own = take(kQueriesTogether * padded(head_dim));
    max = take(kTileRows * num_heads);
    sum = take(kTileRows * num_heads);
  }
  std::size_t size() const { return used_; }

  float* keys;          // [head_dim, 64]
  float* values;        // [64, padded(head_dim)]
  float* key_scales;    // [scale blocks, 64]
  float* value_scales;  // as key_scales
  float* scores;        // [6, 64]
  float* own;           // [6, padded(head_dim)] the newest chunk's values
  float* max;           // [kTileRows * num_heads] of each query, over the chunks so far
  float* sum;           // as max

 private:
  float* take(std::size_t count) {
    float* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += padded(count);
    return piece;
  }

  float* memory_;  // null: only counts
  std::size_t used_ = 0;
};

// At most kTileRows rows, and heads of one key head.
template <typename Vectors>
class AttentionTile {
 public:
  AttentionTile(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
                float scale, float* scratch)
      : rows_(rows),
        shape_(shape),
        head_dim_(shape.head_dim),
        num_heads_(num_heads),
        heads_(heads),
        kv_offset_(heads.begin / (num_heads / shape.num_kv_heads) * shape.head_bytes()),
        scale_(scale),
        scratch_(scratch, num_heads, shape.head_dim) {
    const std::size_t count = heads.size();
    const std::size_t runs = (count + kQueriesTogether - 1) / kQueriesTogether;
    group_heads_ = (count + runs - 1) / runs;
    group_rows_ = kQueriesTogether / group_heads_;
    converts_ = rows.num_rows * count > 2 * kQueriesTogether;
  }

  void attend() {
    const std::size_t end = chunk_of(end_of(rows_.num_rows - 1) - 1) + 1;
    for (std::size_t chunk = chunk_of(begin_of(0)); chunk < end; ++chunk) {
      const ChunkKv kv = kv_of(chunk, chunk + 1 < end ? chunk + 1 : chunk);
      const std::size_t first = first_row_seeing(chunk);
      const std::size_t last = rows_seeing(chunk);
      for_each_group(first, last, [&](const Group& group) { add_chunk(group, chunk, kv); });
    }
    for (std::size_t row = 0; row < rows_.num_rows; ++row) {
      for (std::size_t head = heads_.begin; head < heads_.end; ++head)
        Vectors::scale(out_of(row, head), 1.0f / scratch_.sum[state_of(row, head)], head_dim_);
    }
  }

 private:
  static std::size_t chunk_of(std::size_t position) { return position / kAttentionChunk; }
  std::size_t end_of(std::size_t row) const { return std::size_t{rows_.first_position} + row + 1; }
  std::size_t begin_of(std::size_t row) const {
    const std::size_t end = end_of(row);
    return rows_.window != 0 && end > rows_.window ? end - rows_.window : 0;
  }
  Seen seen(std::size_t row, std::size_t chunk) const {
    const std::size_t start = chunk * kAttentionChunk;
    return {greatest(begin_of(row), start) - start, least(end_of(row), start + kAttentionChunk) - start};
  }
  std::size_t first_row_seeing(std::size_t chunk) const {
    const std::size_t start = chunk * kAttentionChunk;
    return start > rows_.first_position ? start - rows_.first_position : 0;
  }
  // One past the last: rows whose window begins before the chunk's end.
  std::size_t rows_seeing(std::size_t chunk) const {
    if (rows_.window == 0) return rows_.num_rows;
    const std::size_t past =
        (chunk + 1) * kAttentionChunk + rows_.window - 1;  // the position that begins there
    return past < end_of(0) ? 0 : least(rows_.num_rows, past - rows_.first_position);
  }

  const float* q_of(std::size_t row, std::size_t head) const {
    return rows_.q + (row * num_heads_ + head) * head_dim_;
  }
  float* out_of(std::size_t row, std::size_t head) const {
    return rows_.out + (row * num_heads_ + head) * head_dim_;
  }
  std::size_t state_of(std::size_t row, std::size_t head) const {
    return row * heads_.size() + (head - heads_.begin);
  }

  // function(number in the group, row, head).
  template <typename Function>
  void for_each_query(const Group& group, Function&& function) const {
    std::size_t i = 0;
    for (std::size_t row = 0; row < group.num_rows; ++row) {
      for (std::size_t head = 0; head < group.num_heads; ++head)
        function(i++, group.first_row + row, group.first_head + head);
    }
  }

  template <typename Function>
  void for_each_group(std::size_t first_row, std::size_t end_row, Function&& function) const {
    for (std::size_t row = first_row; row < end_row; row += group_rows_) {
      for (std::size_t head = heads_.begin; head < heads_.end; head += group_heads_) {
        function(Group{row, least(group_rows_, end_row - row), head, least(group_heads_, heads_.end - head)});
      }
    }
  }

  // Blocks that some row of the tile sees.
  void find_blocks(std::size_t chunk, const std::byte* (&keys)[2], const std::byte* (&values)[2]) const {
    const std::size_t first = 2 * chunk;
    for (std::size_t i = 0; i < 2; ++i) {
      const std::size_t start = (first + i) * kKvBlockPositions;
      const bool visible = begin_of(0) < start + kKvBlockPositions && end_of(rows_.num_rows - 1) > start;
      keys[i] = visible ? rows_.key_blocks[first + i] + kv_offset_ : nullptr;
      values[i] = visible ? rows_.value_blocks[first + i] + kv_offset_ : nullptr;
    }
  }

  ChunkKv kv_of(std::size_t chunk, std::size_t next) const {
    ChunkKv kv = {};
    find_blocks(chunk, kv.keys, kv.values);
    find_blocks(next, kv.next_keys, kv.next_values);
    for (std::size_t i = 0; i < 2; ++i) {
      if (kv.next_keys[i]) continue;
      kv.next_keys[i] = kv.next_keys[1 - i];
      kv.next_values[i] = kv.next_values[1 - i];
    }
    if (shape_.type == KvType::Q8) widen_scales(kv);
    if (converts_) convert(kv);
    return kv;
  }

  void widen_scales(ChunkKv& kv) const {
    const std::size_t scales = shape_.head_elements();  // behind the codes
    for (std::size_t i = 0; i < 2; ++i) {
      if (!kv.keys[i]) continue;
      const std::size_t at = i * kKvBlockPositions;
      Vectors::keys_to_float(halves_at(kv.keys[i] + scales), shape_.scale_blocks(), scratch_.key_scales + at);
      Vectors::keys_to_float(halves_at(kv.values[i] + scales), shape_.scale_blocks(),
                             scratch_.value_scales + at);
    }
    kv.key_scales = scratch_.key_scales;
    kv.value_scales = scratch_.value_scales;
  }

  void convert(ChunkKv& kv) const {
    for (std::size_t i = 0; i < 2; ++i) {
      if (!kv.keys[i]) continue;
      const std::size_t first = i * kKvBlockPositions;
      float* keys = scratch_.keys + first;
      float* values = scratch_.values + first * padded(head_dim_);
      if (shape_.type == KvType::Q8) {
        Vectors::q8_keys_to_float(kv.keys[i], kv.key_scales + first, head_dim_, keys);
        Vectors::q8_values_to_float(kv.values[i], kv.value_scales + first, head_dim_, values);
      } else {
        Vectors::keys_to_float(halves_at(kv.keys[i]), head_dim_, keys);
        Vectors::values_to_float(halves_at(kv.values[i]), head_dim_, values);
      }
    }
    kv.float_keys = scratch_.keys;
    kv.float_values = scratch_.values;
  }

  void add_chunk(const Group& group, std::size_t chunk, const ChunkKv& kv) {
    MaxSum sums[kQueriesTogether];
    weigh_chunk(group, chunk, kv, sums);
    const Merging merging = merge_sums(group, chunk, sums);
    const Seen first = seen(group.first_row, chunk);
    const Seen last = seen(group.first_row + group.num_rows - 1, chunk);
    if (first.begin == last.begin && first.end == last.end) {
      sum_values(group.num_queries(), 0, kv, first, &merging);
      return;
    }
    sum_uneven_values(group, chunk, kv);
    for (std::size_t i = 0; i < group.num_queries(); ++i)
      Vectors::merge(scratch_.own + i * padded(head_dim_), merging, i, head_dim_);
  }

  // Every query's scores of the chunk become weights; their maximum and sum.
  void weigh_chunk(const Group& group, std::size_t chunk, const ChunkKv& kv, MaxSum* sums) const {
    const std::size_t begin = seen(group.first_row, chunk).begin;
    const std::size_t end = seen(group.first_row + group.num_rows - 1, chunk).end;
    const float* q[kQueriesTogether];
    for_each_query(group, [&](std::size_t i, std::size_t row, std::size_t head) { q[i] = q_of(row, head); });
    with_count(group.num_queries(), [&]<std::size_t Q>(Count<Q>) {
      Vectors::template scores<Q>(q, kv, head_dim_, begin / kUnit, (end + kUnit - 1) / kUnit,
                                  scratch_.scores);
    });
    for_each_query(group, [&](std::size_t i, std::size_t row, std::size_t) {
      const Seen own = seen(row, chunk);
      sums[i] = Vectors::weigh(scratch_.scores + i * kAttentionChunk, own.begin, own.end, scale_);
    });
  }

  Merging merge_sums(const Group& group, std::size_t chunk, const MaxSum* sums) const {
    Merging merging;
    for (float& power : merging.powers) power = 0.0f;
    for_each_query(group, [&](std::size_t i, std::size_t row, std::size_t head) {
      const float own = sums[i].max;
      float& max = scratch_.max[state_of(row, head)];
      merging.begins[i] = chunk == chunk_of(begin_of(row));
      merging.out[i] = out_of(row, head);
      const float before = merging.begins[i] ? own : max;
      max = own > before ? own : before;
      merging.powers[i] = before - max;
      merging.powers[kQueryLanes + i] = own - max;
    });
    Vectors::powers(merging.powers);
    for_each_query(group, [&](std::size_t i, std::size_t row, std::size_t head) {
      float& sum = scratch_.sum[state_of(row, head)];
      sum = merging.begins[i] ? sums[i].sum
                              : __builtin_fmaf(sum, merging.keep(i), sums[i].sum * merging.take(i));
    });
    return merging;
  }

  // Rows that see different positions: those that all see go together; before them and after them, each row
  // adds what it alone sees.
  void sum_uneven_values(const Group& group, std::size_t chunk, const ChunkKv& kv) const {
    const auto seen_by = [&](std::size_t row) { return seen(group.first_row + row, chunk); };
    const std::size_t last = group.num_rows - 1;
    Vectors::clear(scratch_.own, group.num_queries() * padded(head_dim_));
    const Seen shared = {seen_by(last).begin, seen_by(0).end};
    for (std::size_t row = 0; row <= last; ++row) {
      const Seen own = seen_by(row);
      sum_row_values(group, row, kv, {own.begin, shared.empty() ? own.end : shared.begin});
    }
    if (shared.empty()) return;
    sum_values(group.num_queries(), 0, kv, shared, nullptr);
    for (std::size_t row = 0; row <= last; ++row)
      sum_row_values(group, row, kv, {shared.end, seen_by(row).end});
  }

  void sum_row_values(const Group& group, std::size_t row, const ChunkKv& kv, Seen positions) const {
    if (!positions.empty()) sum_values(group.num_heads, row * group.num_heads, kv, positions, nullptr);
  }

  // Of n queries from the group's `first` on.
  void sum_values(std::size_t n, std::size_t first, const ChunkKv& kv, Seen positions,
                  const Merging* merging) const {
    with_count(n, [&]<std::size_t Q>(Count<Q>) {
      Vectors::template values<Q>(scratch_.scores + first * kAttentionChunk, kv, head_dim_, positions.begin,
                                  positions.end, scratch_.own + first * padded(head_dim_), merging);
    });
  }

  AttentionRows rows_;
  KvShape shape_;
  std::size_t head_dim_;
  std::size_t num_heads_;
  Range heads_;
  std::size_t kv_offset_;
  float scale_;
  TileScratch scratch_;
  std::size_t group_heads_;
  std::size_t group_rows_;
  bool converts_;
};

// function(heads that share a key head), ascending.
template <typename Function>
void for_each_kv_head(std::size_t group_heads, Range heads, Function&& function) {
  for (std::size_t head = heads.begin; head < heads.end;) {
    const std::size_t end = least((head / group_heads + 1) * group_heads, heads.end);
    function(Range{static_cast<std::uint32_t>(head), static_cast<std::uint32_t>(end)});
    head = end;
  }
}

template <typename Vectors>
void attend_rows(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
                 float scale, float* scratch) {
  for_each_kv_head(num_heads / shape.num_kv_heads, heads, [&](Range shared) {
    for (std::size_t row = 0; row < rows.num_rows; row += kTileRows) {
      AttentionRows tile = rows;
      tile.q += row * num_heads * shape.head_dim;
      tile.out += row * num_heads * shape.head_dim;
      tile.first_position += static_cast<std::uint32_t>(row);
      tile.num_rows = least(kTileRows, rows.num_rows - row);
      AttentionTile<Vectors>(tile, shape, num_heads, shared, scale, scratch).attend();
    }
  });
}

}  // namespace
}  // namespace shoal
