#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

constexpr std::size_t kMaxHeads = 4;  // query heads that share each converted key and value

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

__m256 load_f16(const std::uint16_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// Fewer than eight, without reading past the last.
__m256 load_few_f16(const std::uint16_t* from, std::size_t n) {
  alignas(16) std::uint16_t halves[8] = {};
  for (std::size_t i = 0; i < n; ++i) halves[i] = from[i];
  return load_f16(halves);
}

// q.k for 16 positions of a block, H heads together: lanes are positions.
template <std::size_t H>
void half_block_scores(const float* q, const std::uint16_t* keys, std::size_t head_dim, float* scores) {
  __m256 low[H];
  __m256 high[H];
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) low[h] = high[h] = _mm256_setzero_ps();
  for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions) {
    const __m256 k_low = load_f16(keys);
    const __m256 k_high = load_f16(keys + 8);
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      const __m256 query = _mm256_set1_ps(q[h * head_dim + d]);
      low[h] = _mm256_fmadd_ps(query, k_low, low[h]);
      high[h] = _mm256_fmadd_ps(query, k_high, high[h]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    _mm256_storeu_ps(scores + h * kAttentionChunk, low[h]);
    _mm256_storeu_ps(scores + h * kAttentionChunk + 8, high[h]);
  }
}

template <std::size_t H>
void block_scores(const float* q, const std::uint16_t* keys, std::size_t head_dim, float* scores) {
  half_block_scores<H>(q, keys, head_dim, scores);
  half_block_scores<H>(q, keys + 16, head_dim, scores + 16);
}

// The chunk's lanes [8v, 8v + 8) that are visible.
__m256 visible_lanes(const Chunk& chunk, std::size_t v) {
  const __m256i lane =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(8 * v)));
  const __m256i before =
      _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(chunk.begin - chunk.start)), lane);
  const __m256i below_end =
      _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(chunk.end - chunk.start)), lane);
  return _mm256_castsi256_ps(_mm256_andnot_si256(before, below_end));
}

// Scores become weights exp(z - max); unseen lanes become 0, whatever lay there.
MaxSum weigh(const Chunk& chunk, float scale, float* scores) {
  const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
  __m256 greatest = lowest;
#pragma GCC unroll 8
  for (std::size_t v = 0; v < 8; ++v) {
    const __m256 z = _mm256_mul_ps(_mm256_loadu_ps(scores + 8 * v), _mm256_set1_ps(scale));
    _mm256_storeu_ps(scores + 8 * v, z);
    greatest = _mm256_max_ps(select(lowest, visible_lanes(chunk, v), z), greatest);
  }
  const float max = greatest_of(greatest);
  __m256 partials[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
#pragma GCC unroll 8
  for (std::size_t v = 0; v < 8; ++v) {
    const __m256 power = exp_f32(_mm256_sub_ps(_mm256_loadu_ps(scores + 8 * v), _mm256_set1_ps(max)));
    const __m256 weight = _mm256_and_ps(power, visible_lanes(chunk, v));
    _mm256_storeu_ps(scores + 8 * v, weight);
    partials[v % 2] = _mm256_add_ps(partials[v % 2], weight);
  }
  return {max, sum_of_partials(partials[0], partials[1])};
}

template <std::size_t H>
void merge_sums(const MaxSum* chunk, State<H>& state) {
  static_assert(H <= 4);
  if (state.empty) {
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      state.max[h] = chunk[h].max;
      state.sum[h] = chunk[h].sum;
    }
    return;
  }
  alignas(32) float powers[8] = {};  // all the chunk's exponentials in one vector
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    const float max = chunk[h].max > state.max[h] ? chunk[h].max : state.max[h];
    powers[h] = state.max[h] - max;
    powers[4 + h] = chunk[h].max - max;
    state.max[h] = max;
  }
  _mm256_store_ps(powers, exp_f32(_mm256_load_ps(powers)));
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    state.keep[h] = powers[h];
    state.take[h] = powers[4 + h];
    state.sum[h] = __builtin_fmaf(state.sum[h], state.keep[h], chunk[h].sum * state.take[h]);
  }
}

// Merges weighted values of eight dimensions from d on into head h's output.
template <std::size_t H>
void merge_values(const Group& group, const State<H>& state, std::size_t h, std::size_t d, __m256 values) {
  float* out = group.out() + h * group.head_dim;
  if (!state.empty) {
    const __m256 taken = _mm256_mul_ps(values, _mm256_set1_ps(state.take[h]));
    values = _mm256_fmadd_ps(load_at(out, d, group.head_dim), _mm256_set1_ps(state.keep[h]), taken);
  }
  store_at(out, d, group.head_dim, values);
}

// Weighted values of 16 dimensions from d on: lanes are dimensions.
template <std::size_t H>
void add_values(const Group& group, const Chunk& chunk, const float* weights, const State<H>& state,
                std::size_t d) {
  __m256 low[H];
  __m256 high[H];
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) low[h] = high[h] = _mm256_setzero_ps();
  for (std::size_t j = chunk.begin; j < chunk.end; ++j) {
    const std::uint16_t* values = group.values(j) + d;
    const __m256 v_low = load_f16(values);
    const __m256 v_high = load_f16(values + 8);
#pragma GCC unroll 8
    for (std::size_t h = 0; h < H; ++h) {
      const __m256 weight = _mm256_set1_ps(weights[h * kAttentionChunk + (j - chunk.start)]);
      low[h] = _mm256_fmadd_ps(weight, v_low, low[h]);
      high[h] = _mm256_fmadd_ps(weight, v_high, high[h]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    merge_values<H>(group, state, h, d, low[h]);
    merge_values<H>(group, state, h, d + 8, high[h]);
  }
}

// The same for the last dimensions of a head, up to eight.
template <std::size_t H>
void add_last_values(const Group& group, const Chunk& chunk, const float* weights, const State<H>& state,
                     std::size_t d) {
  const std::size_t n = group.head_dim - d < 8 ? group.head_dim - d : 8;
#pragma GCC unroll 8
  for (std::size_t h = 0; h < H; ++h) {
    __m256 o = _mm256_setzero_ps();
    for (std::size_t j = chunk.begin; j < chunk.end; ++j) {
      const __m256 values = load_few_f16(group.values(j) + d, n);
      o = _mm256_fmadd_ps(_mm256_set1_ps(weights[h * kAttentionChunk + (j - chunk.start)]), values, o);
    }
    merge_values<H>(group, state, h, d, o);
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
  for (; d + 16 <= group.head_dim; d += 16) add_values<H>(group, chunk, scores, state, d);
  for (; d < group.head_dim; d += 8) add_last_values<H>(group, chunk, scores, state, d);
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

}  // namespace shoal::avx2
