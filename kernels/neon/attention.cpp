#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

constexpr std::size_t kMaxHeads = 4;  // query heads that share each converted key and value
constexpr std::size_t kWide = 4;      // vectors in registers at once, for each head

// The part of one chunk that a query row sees: positions [begin, end) of [start, start + 64).
struct Chunk {
  std::size_t start;
  std::size_t begin;
  std::size_t end;

  bool sees_first_block() const { return begin < start + kKvBlockPositions; }
  bool sees_second_block() const { return end > start + kKvBlockPositions; }
};

// One key and value head of one row, and the query heads that share it.
struct Group {
  const AttentionRow& row;
  std::size_t kv_head;
  std::size_t head_dim;
  std::size_t first_head;
  float scale;

  const float* q() const { return row.q + first_head * head_dim; }
  float* out() const { return row.out + first_head * head_dim; }
  const std::uint16_t* keys(std::size_t block) const {
    return row.key_blocks[block] + kv_head * head_dim * kKvBlockPositions;
  }
  const std::uint16_t* values(std::size_t position) const {
    const std::size_t slot = kv_head * kKvBlockPositions + position % kKvBlockPositions;
    return row.value_blocks[position / kKvBlockPositions] + slot * head_dim;
  }
};

template <std::size_t H>
struct State {
  float max[H];
  float sum[H];
  float keep[H];  // what merging the newest chunk does to the values so far, and to the chunk's own
  float take[H];
  bool empty = true;
};

// Fewer than four, without reading past the last.
float32x4_t load_few_f16(const std::uint16_t* from, std::size_t n) {
  std::uint16_t halves[kLanes] = {};
  for (std::size_t i = 0; i < n; ++i) halves[i] = from[i];
  return load_f16(halves);
}

// q.k for 16 positions of a block, H heads together: lanes are positions.
template <std::size_t H>
void half_block_scores(const float* q, const std::uint16_t* keys, std::size_t head_dim, float* scores) {
  float32x4_t z[H][kWide];
#pragma GCC unroll 4
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) z[h][v] = vdupq_n_f32(0.0f);
  }
  for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions) {
    float32x4_t k[kWide];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) k[v] = load_f16(keys + v * kLanes);
#pragma GCC unroll 4
    for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kWide; ++v) z[h][v] = vfmaq_n_f32(z[h][v], k[v], q[h * head_dim + d]);
    }
  }
#pragma GCC unroll 4
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) vst1q_f32(scores + h * kAttentionChunk + v * kLanes, z[h][v]);
  }
}

template <std::size_t H>
void block_scores(const float* q, const std::uint16_t* keys, std::size_t head_dim, float* scores) {
  half_block_scores<H>(q, keys, head_dim, scores);
  half_block_scores<H>(q, keys + 16, head_dim, scores + 16);
}

// The chunk's lanes [4v, 4v + 4) that are visible.
uint32x4_t visible_lanes(const Chunk& chunk, std::size_t v) {
  const std::size_t first = chunk.start + v * kLanes;
  const std::size_t hidden = chunk.begin > first ? chunk.begin - first : 0;
  const std::size_t seen = chunk.end > first ? chunk.end - first : 0;
  return vbicq_u32(lanes_at(0, seen), lanes_at(0, hidden));
}

// Scores become weights exp(z - max); unseen lanes become 0, whatever lay there.
MaxSum weigh(const Chunk& chunk, float scale, float* scores) {
  const float32x4_t lowest = vdupq_n_f32(-__builtin_inff());
  float32x4_t greatest = lowest;
  for (std::size_t v = 0; v < kAttentionChunk / kLanes; ++v) {
    const float32x4_t z = vmulq_n_f32(vld1q_f32(scores + v * kLanes), scale);
    vst1q_f32(scores + v * kLanes, z);
    greatest = greater(select(lowest, visible_lanes(chunk, v), z), greatest);
  }
  const float max = greatest_of(greatest);
  float32x4_t partials[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
  for (std::size_t v = 0; v < kAttentionChunk / kLanes; ++v) {
    const float32x4_t power = exp_f32(vsubq_f32(vld1q_f32(scores + v * kLanes), vdupq_n_f32(max)));
    const float32x4_t weight = select(vdupq_n_f32(0.0f), visible_lanes(chunk, v), power);
    vst1q_f32(scores + v * kLanes, weight);
    partials[v % 4] = vaddq_f32(partials[v % 4], weight);
  }
  return {max, sum_of_partials(partials)};
}

template <std::size_t H>
void merge_sums(const MaxSum* chunk, State<H>& state) {
  static_assert(H <= kLanes);
  if (state.empty) {
    for (std::size_t h = 0; h < H; ++h) {
      state.max[h] = chunk[h].max;
      state.sum[h] = chunk[h].sum;
    }
    return;
  }
  float keep[kLanes] = {};
  float take[kLanes] = {};
  for (std::size_t h = 0; h < H; ++h) {
    const float max = chunk[h].max > state.max[h] ? chunk[h].max : state.max[h];
    keep[h] = state.max[h] - max;
    take[h] = chunk[h].max - max;
    state.max[h] = max;
  }
  vst1q_f32(keep, exp_f32(vld1q_f32(keep)));
  vst1q_f32(take, exp_f32(vld1q_f32(take)));
  for (std::size_t h = 0; h < H; ++h) {
    state.keep[h] = keep[h];
    state.take[h] = take[h];
    state.sum[h] = __builtin_fmaf(state.sum[h], keep[h], chunk[h].sum * take[h]);
  }
}

// Merges weighted values of four dimensions from d on into head h's output.
template <std::size_t H>
void merge_values(const Group& group, const State<H>& state, std::size_t h, std::size_t d,
                  float32x4_t values) {
  float* out = group.out() + h * group.head_dim;
  if (!state.empty) {
    const float32x4_t taken = vmulq_n_f32(values, state.take[h]);
    values = vfmaq_n_f32(taken, load_at(out, d, group.head_dim), state.keep[h]);
  }
  store_at(out, d, group.head_dim, values);
}

// Weighted values of 16 dimensions from d on: lanes are dimensions.
template <std::size_t H>
void add_values(const Group& group, const Chunk& chunk, const float* weights, const State<H>& state,
                std::size_t d) {
  float32x4_t o[H][kWide];
#pragma GCC unroll 4
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) o[h][v] = vdupq_n_f32(0.0f);
  }
  for (std::size_t j = chunk.begin; j < chunk.end; ++j) {
    const std::uint16_t* values = group.values(j) + d;
    float32x4_t row[kWide];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) row[v] = load_f16(values + v * kLanes);
#pragma GCC unroll 4
    for (std::size_t h = 0; h < H; ++h) {
      const float weight = weights[h * kAttentionChunk + (j - chunk.start)];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kWide; ++v) o[h][v] = vfmaq_n_f32(o[h][v], row[v], weight);
    }
  }
#pragma GCC unroll 4
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kWide; ++v) merge_values<H>(group, state, h, d + v * kLanes, o[h][v]);
  }
}

// The same for the last dimensions of a head, up to four.
template <std::size_t H>
void add_last_values(const Group& group, const Chunk& chunk, const float* weights, const State<H>& state,
                     std::size_t d) {
  const std::size_t n = group.head_dim - d < kLanes ? group.head_dim - d : kLanes;
  for (std::size_t h = 0; h < H; ++h) {
    float32x4_t o = vdupq_n_f32(0.0f);
    for (std::size_t j = chunk.begin; j < chunk.end; ++j) {
      const float32x4_t values = load_few_f16(group.values(j) + d, n);
      o = vfmaq_n_f32(o, values, weights[h * kAttentionChunk + (j - chunk.start)]);
    }
    merge_values<H>(group, state, h, d, o);
  }
}

template <std::size_t H>
void add_chunk(const Group& group, const Chunk& chunk, float* scores, State<H>& state) {
  const std::size_t block = chunk.start / kKvBlockPositions;
  if (chunk.sees_first_block()) block_scores<H>(group.q(), group.keys(block), group.head_dim, scores);
  if (chunk.sees_second_block())
    block_scores<H>(group.q(), group.keys(block + 1), group.head_dim, scores + kKvBlockPositions);
  MaxSum sums[H];
  for (std::size_t h = 0; h < H; ++h) sums[h] = weigh(chunk, group.scale, scores + h * kAttentionChunk);
  merge_sums<H>(sums, state);
  std::size_t d = 0;
  for (; d + kWide * kLanes <= group.head_dim; d += kWide * kLanes)
    add_values<H>(group, chunk, scores, state, d);
  for (; d < group.head_dim; d += kLanes) add_last_values<H>(group, chunk, scores, state, d);
  state.empty = false;
}

template <std::size_t H>
void attend(const Group& group, float* scratch) {
  const std::size_t end = static_cast<std::size_t>(group.row.position) + 1;
  const std::size_t window = group.row.window;
  const std::size_t first = window != 0 && end > window ? end - window : 0;
  State<H> state = {};
  for (std::size_t start = first / kAttentionChunk * kAttentionChunk; start < end; start += kAttentionChunk) {
    const std::size_t chunk_end = start + kAttentionChunk < end ? start + kAttentionChunk : end;
    add_chunk<H>(group, {start, start > first ? start : first, chunk_end}, scratch, state);
  }
  for (std::size_t h = 0; h < H; ++h)
    scale(group.out() + h * group.head_dim, 1.0f / state.sum[h], group.head_dim);
}

}  // namespace

void attention(const AttentionRow& row, const KvShape& shape, std::size_t num_heads, Range heads, float scale,
               float* scratch) {
  const std::size_t group_heads = num_heads / shape.num_kv_heads;
  for (std::size_t head = heads.begin; head < heads.end;) {
    const std::size_t group_end = (head / group_heads + 1) * group_heads;
    const std::size_t end = group_end < heads.end ? group_end : heads.end;
    const std::size_t count = end - head < kMaxHeads ? end - head : kMaxHeads;
    const Group group = {row, head / group_heads, shape.head_dim, head, scale};
    switch (count) {
      case 1:
        attend<1>(group, scratch);
        break;
      case 2:
        attend<2>(group, scratch);
        break;
      case 3:
        attend<3>(group, scratch);
        break;
      default:
        attend<4>(group, scratch);
    }
    head += count;
  }
}

}  // namespace shoal::neon
