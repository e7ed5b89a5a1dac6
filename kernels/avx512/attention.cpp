#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

constexpr std::size_t kMaxHeads = 4;  // query heads that share each converted key and value
constexpr std::size_t kWide = 64;     // head dimensions in registers at once

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

__m512 load_f16(const std::uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// q.k for the 32 positions of a block, H heads together: lanes are positions.
template <std::size_t H>
void block_scores(const float* q, const std::uint16_t* keys, std::size_t head_dim, float* scores) {
  __m512 low[H];
  __m512 high[H];
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) low[h] = high[h] = _mm512_setzero_ps();
  for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions) {
    const __m512 k_low = load_f16(keys);
    const __m512 k_high = load_f16(keys + 16);
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      const __m512 query = _mm512_set1_ps(q[h * head_dim + d]);
      low[h] = _mm512_fmadd_ps(query, k_low, low[h]);
      high[h] = _mm512_fmadd_ps(query, k_high, high[h]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    _mm512_storeu_ps(scores + h * kAttentionChunk, low[h]);
    _mm512_storeu_ps(scores + h * kAttentionChunk + 16, high[h]);
  }
}

// The chunk's lanes [16v, 16v + 16) that are visible.
__mmask16 visible_lanes(const Chunk& chunk, std::size_t v) {
  const std::size_t first = chunk.start + 16 * v;
  const std::size_t begin = chunk.begin > first ? chunk.begin - first : 0;
  const std::size_t end = chunk.end > first ? chunk.end - first : 0;
  const unsigned below_end = end >= 16 ? 0xffffu : (1u << end) - 1u;
  const unsigned below_begin = begin >= 16 ? 0xffffu : (1u << begin) - 1u;
  return static_cast<__mmask16>(below_end & ~below_begin);
}

// Scores become weights exp(z - max); unseen lanes become 0.
MaxSum weigh(const Chunk& chunk, float scale, float* scores) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 z[4];
  __mmask16 lanes[4];
  __m512 greatest = lowest;
#pragma GCC unroll 8
  for (std::size_t v = 0; v < 4; ++v) {
    lanes[v] = visible_lanes(chunk, v);
    z[v] = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes[v], scores + 16 * v), _mm512_set1_ps(scale));
    greatest = _mm512_max_ps(_mm512_mask_mov_ps(lowest, lanes[v], z[v]), greatest);
  }
  const float max = _mm512_reduce_max_ps(greatest);
  __m512 partials = _mm512_setzero_ps();
#pragma GCC unroll 8
  for (std::size_t v = 0; v < 4; ++v) {
    const __m512 weight = _mm512_maskz_mov_ps(lanes[v], exp_f32(_mm512_sub_ps(z[v], _mm512_set1_ps(max))));
    _mm512_storeu_ps(scores + 16 * v, weight);
    partials = _mm512_add_ps(partials, weight);
  }
  return {max, sum_of_partials(partials)};
}

template <std::size_t H>
void merge_sums(const MaxSum* chunk, State<H>& state) {
  if (state.empty) {
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      state.max[h] = chunk[h].max;
      state.sum[h] = chunk[h].sum;
    }
    return;
  }
  alignas(64) float powers[16] = {};  // all the chunk's exponentials in one vector
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    const float max = chunk[h].max > state.max[h] ? chunk[h].max : state.max[h];
    powers[h] = state.max[h] - max;
    powers[8 + h] = chunk[h].max - max;
    state.max[h] = max;
  }
  _mm512_store_ps(powers, exp_f32(_mm512_load_ps(powers)));
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    state.keep[h] = powers[h];
    state.take[h] = powers[8 + h];
    state.sum[h] = __builtin_fmaf(state.sum[h], state.keep[h], chunk[h].sum * state.take[h]);
  }
}

// Weighted values of 16*V dimensions from d on, merged into out: lanes are dimensions.
template <std::size_t H, std::size_t V>
void add_values(const Group& group, const Chunk& chunk, const float* weights, const State<H>& state,
                std::size_t d) {
  const __mmask16 lanes = V == 1 ? lanes_at(d, group.head_dim) : static_cast<__mmask16>(0xffff);
  __m512 o[H][V];
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) o[h][v] = _mm512_setzero_ps();
  }
  for (std::size_t j = chunk.begin; j < chunk.end; ++j) {
    const std::uint16_t* values = group.values(j) + d;
    __m512 row[V];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v)
      row[v] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, values + 16 * v));
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      const __m512 weight = _mm512_set1_ps(weights[h * kAttentionChunk + (j - chunk.start)]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) o[h][v] = _mm512_fmadd_ps(weight, row[v], o[h][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      float* out = group.out() + h * group.head_dim + d + 16 * v;
      __m512 merged = o[h][v];
      if (!state.empty) {
        const __m512 taken = _mm512_mul_ps(merged, _mm512_set1_ps(state.take[h]));
        merged = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, out), _mm512_set1_ps(state.keep[h]), taken);
      }
      _mm512_mask_storeu_ps(out, lanes, merged);
    }
  }
}

template <std::size_t H>
void add_chunk(const Group& group, const Chunk& chunk, float* scores, State<H>& state) {
  const std::size_t block = chunk.start / kKvBlockPositions;
  if (chunk.sees_first_block()) block_scores<H>(group.q(), group.keys(block), group.head_dim, scores);
  if (chunk.sees_second_block()) {
    block_scores<H>(group.q(), group.keys(block + 1), group.head_dim, scores + kKvBlockPositions);
  }
  MaxSum sums[H];
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) sums[h] = weigh(chunk, group.scale, scores + h * kAttentionChunk);
  merge_sums<H>(sums, state);
  std::size_t d = 0;
  for (; d + kWide <= group.head_dim; d += kWide) add_values<H, 4>(group, chunk, scores, state, d);
  for (; d < group.head_dim; d += 16) add_values<H, 1>(group, chunk, scores, state, d);
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
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    scale(group.out() + h * group.head_dim, 1.0f / state.sum[h], group.head_dim);
  }
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

}  // namespace shoal::avx512
