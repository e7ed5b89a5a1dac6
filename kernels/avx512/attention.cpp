#include "kernels/attention_tiles.h"
#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"

namespace shoal::avx512 {
namespace {

__m512 load_f16(const std::uint16_t* from) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}

// 16 codes of q8.
__m512 load_codes(const std::byte* from) {
  const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
}

void prefetch(const void* line) { _mm_prefetch(static_cast<const char*>(line), _MM_HINT_T0); }

// Keys of dimension d, lanes are positions [16u, 16u + 16) of the chunk.
struct HalfKeys {
  const ChunkKv& kv;

  __m512 load(std::size_t unit, std::size_t d) const {
    return load_f16(halves_at(kv.keys[unit / 2]) + 16 * (unit % 2) + d * kKvBlockPositions);
  }
  void fetch_next(std::size_t d) const {
    prefetch(halves_at(kv.next_keys[0]) + d * kKvBlockPositions);
    prefetch(halves_at(kv.next_keys[1]) + d * kKvBlockPositions);
  }
};
struct Q8Keys {
  const ChunkKv& kv;

  __m512 load(std::size_t unit, std::size_t d) const {
    const float* scales = kv.key_scales + d / kKvScaleDims * kAttentionChunk + 16 * unit;
    const std::byte* codes = kv.keys[unit / 2] + 16 * (unit % 2) + d * kKvBlockPositions;
    return _mm512_mul_ps(_mm512_loadu_ps(scales), load_codes(codes));
  }
  // Two dimensions a line: the blocks take turns.
  void fetch_next(std::size_t d) const { prefetch(kv.next_keys[d % 2] + d / 2 * 2 * kKvBlockPositions); }
};
struct FloatKeys {
  const ChunkKv& kv;

  __m512 load(std::size_t unit, std::size_t d) const {
    return _mm512_loadu_ps(kv.float_keys + d * kAttentionChunk + 16 * unit);
  }
  void fetch_next(std::size_t) const {}
};

// q.k of Q queries for U units of positions from `first` on.
// Not inlined, so that all pointers stay in registers.
template <std::size_t Q, std::size_t U, typename Keys>
[[gnu::noinline]] void unit_scores(const float* const* queries, Keys keys, std::size_t head_dim,
                                   std::size_t first, float* scores) {
  const float* q[Q];
  __m512 z[Q][U];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    q[i] = queries[i];
#pragma GCC unroll 8
    for (std::size_t u = 0; u < U; ++u) z[i][u] = _mm512_setzero_ps();
  }
  for (std::size_t d = 0; d < head_dim; ++d) {
    __m512 k[U];
#pragma GCC unroll 8
    for (std::size_t u = 0; u < U; ++u) k[u] = keys.load(first + u, d);
    keys.fetch_next(d);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const __m512 query = _mm512_set1_ps(q[i][d]);
#pragma GCC unroll 8
      for (std::size_t u = 0; u < U; ++u) z[i][u] = _mm512_fmadd_ps(query, k[u], z[i][u]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 8
    for (std::size_t u = 0; u < U; ++u)
      _mm512_storeu_ps(scores + i * kAttentionChunk + 16 * (first + u), z[i][u]);
  }
}

template <std::size_t Q, typename Keys>
void chunk_scores(const float* const* q, Keys keys, std::size_t head_dim, std::size_t first, std::size_t end,
                  float* scores) {
  switch (end - first) {
    case 1:
      return unit_scores<Q, 1>(q, keys, head_dim, first, scores);
    case 2:
      return unit_scores<Q, 2>(q, keys, head_dim, first, scores);
    case 3:
      return unit_scores<Q, 3>(q, keys, head_dim, first, scores);
    default:
      return unit_scores<Q, 4>(q, keys, head_dim, first, scores);
  }
}

// exp_f32 for x <= 0 (or NaN), 0 where the lane is not asked for.
__m512 exp_not_positive(__mmask16 lanes, __m512 x) {
  const __m512 magic = _mm512_set1_ps(kRoundingMagic);
  const __m512 shifted = _mm512_fmadd_ps(x, _mm512_set1_ps(kLog2E), magic);
  const __m512 n = _mm512_sub_ps(shifted, magic);
  __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2High), x);
  r = _mm512_fmadd_ps(n, _mm512_set1_ps(-kExpLn2Low), r);
  __m512 p = _mm512_set1_ps(kExp4);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp3));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp2));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp1));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(kExp0));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
  const __mmask16 normal = _mm512_mask_cmp_ps_mask(lanes, x, _mm512_set1_ps(kExpLowest), _CMP_NLT_UQ);
  // A NaN stays one: its shifted integer is 0 as well.
  const __m512i power = _mm512_slli_epi32(_mm512_cvtps_epi32(n), 23);
  return _mm512_castsi512_ps(_mm512_maskz_add_epi32(normal, _mm512_castps_si512(p), power));
}

// The chunk's lanes [16u, 16u + 16) that are in [begin, end).
__mmask16 lanes_in(std::size_t begin, std::size_t end, std::size_t unit) {
  const std::size_t first = 16 * unit;
  const std::size_t from = begin > first ? begin - first : 0;
  const std::size_t to = end > first ? end - first : 0;
  const unsigned below_end = to >= 16 ? 0xffffu : (1u << to) - 1u;
  const unsigned below_begin = from >= 16 ? 0xffffu : (1u << from) - 1u;
  return static_cast<__mmask16>(below_end & ~below_begin);
}

template <bool whole>
MaxSum weigh_chunk(float* scores, std::size_t begin, std::size_t end, float scale) {
  const __m512 lowest = _mm512_set1_ps(-__builtin_inff());
  __m512 z[4];
  __mmask16 lanes[4];
  __m512 greatest = lowest;
#pragma GCC unroll 8
  for (std::size_t u = 0; u < 4; ++u) {
    lanes[u] = whole ? static_cast<__mmask16>(0xffff) : lanes_in(begin, end, u);
    z[u] = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes[u], scores + 16 * u), _mm512_set1_ps(scale));
    greatest = _mm512_max_ps(_mm512_mask_mov_ps(lowest, lanes[u], z[u]), greatest);
  }
  const float max = _mm512_reduce_max_ps(greatest);
  __m512 partials = _mm512_setzero_ps();
#pragma GCC unroll 8
  for (std::size_t u = 0; u < 4; ++u) {
    const __m512 weight = exp_not_positive(lanes[u], _mm512_sub_ps(z[u], _mm512_set1_ps(max)));
    _mm512_storeu_ps(scores + 16 * u, weight);
    partials = _mm512_add_ps(partials, weight);
  }
  return {max, sum_of_partials(partials)};
}

// The values of position j, lanes are dimensions from d on.
struct HalfValues {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const std::uint16_t* at;
    __m512 load(std::size_t v, __mmask16 lanes) const {
      return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, at + 16 * v));
    }
    __m512 load(std::size_t v) const { return load_f16(at + 16 * v); }
  };
  Row row(std::size_t j, std::size_t d) const {
    const std::size_t at = j % kKvBlockPositions * head_dim + d;
    const std::uint16_t* next = halves_at(kv.next_values[j / kKvBlockPositions]) + at;
    prefetch(next);
    prefetch(next + 32);
    return {halves_at(kv.values[j / kKvBlockPositions]) + at};
  }
};
struct Q8Values {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const std::byte* at;
    const float* scale;  // of the 32 dimensions that `at` lies in
    __m512 load(std::size_t v, __mmask16 lanes) const {
      const __m512i codes = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(lanes, at + 16 * v));
      return _mm512_mul_ps(_mm512_set1_ps(*scale), _mm512_cvtepi32_ps(codes));
    }
    __m512 load(std::size_t v) const {
      return _mm512_mul_ps(_mm512_set1_ps(scale[v / 2 * kAttentionChunk]), load_codes(at + 16 * v));
    }
  };
  Row row(std::size_t j, std::size_t d) const {
    const std::size_t at = j % kKvBlockPositions * head_dim + d;
    prefetch(kv.next_values[j / kKvBlockPositions] + at);
    return {kv.values[j / kKvBlockPositions] + at, kv.value_scales + d / kKvScaleDims * kAttentionChunk + j};
  }
};
struct FloatValues {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const float* at;
    __m512 load(std::size_t v, __mmask16) const { return load(v); }  // padded
    __m512 load(std::size_t v) const { return _mm512_loadu_ps(at + 16 * v); }
  };
  Row row(std::size_t j, std::size_t d) const { return {kv.float_values + j * padded(head_dim) + d}; }
};

void merge_into(const Merging& merging, std::size_t query, std::size_t d, __mmask16 lanes, __m512 own) {
  float* out = merging.out[query] + d;
  if (!merging.begins[query]) {
    const __m512 taken = _mm512_mul_ps(own, _mm512_set1_ps(merging.take(query)));
    own = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(lanes, out), _mm512_set1_ps(merging.keep(query)), taken);
  }
  _mm512_mask_storeu_ps(out, lanes, own);
}

// 16*V dimensions from d on; sums [Q, padded(head_dim)].
template <std::size_t Q, std::size_t V, typename Values>
[[gnu::noinline]] void add_values(const float* weights, Values values, std::size_t d, std::size_t begin,
                                  std::size_t end, float* sums, const Merging* merging) {
  const std::size_t stride = padded(values.head_dim);
  const __mmask16 lanes = V == 1 ? lanes_at(d, values.head_dim) : static_cast<__mmask16>(0xffff);
  __m512 o[Q][V];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v)
      o[i][v] = merging ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * stride + d + 16 * v);
  }
  for (std::size_t j = begin; j < end; ++j) {
    const auto row = values.row(j, d);
    __m512 value[V];
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) value[v] = V == 1 ? row.load(v, lanes) : row.load(v);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const __m512 weight = _mm512_set1_ps(weights[i * kAttentionChunk + j]);
#pragma GCC unroll 8
      for (std::size_t v = 0; v < V; ++v) o[i][v] = _mm512_fmadd_ps(weight, value[v], o[i][v]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 8
    for (std::size_t v = 0; v < V; ++v) {
      if (merging) {
        merge_into(*merging, i, d + 16 * v, lanes, o[i][v]);
      } else {
        _mm512_storeu_ps(sums + i * stride + d + 16 * v, o[i][v]);
      }
    }
  }
}

template <std::size_t Q, typename Values>
void chunk_values(const float* weights, Values values, std::size_t begin, std::size_t end, float* sums,
                  const Merging* merging) {
  std::size_t d = 0;
  for (; d + 64 <= values.head_dim; d += 64) add_values<Q, 4>(weights, values, d, begin, end, sums, merging);
  for (; d < values.head_dim; d += 16) add_values<Q, 1>(weights, values, d, begin, end, sums, merging);
}

struct Vectors {
  static void keys_to_float(const std::uint16_t* keys, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
      _mm512_storeu_ps(out, load_f16(keys));
      _mm512_storeu_ps(out + 16, load_f16(keys + 16));
    }
  }

  static void values_to_float(const std::uint16_t* values, std::size_t head_dim, float* out) {
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += padded(head_dim)) {
      for (std::size_t d = 0; d < head_dim; d += 16) {
        _mm512_storeu_ps(out + d,
                         _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_at(d, head_dim), values + d)));
      }
    }
  }

  static void q8_keys_to_float(const std::byte* keys, const float* scales, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
      const float* own = scales + d / kKvScaleDims * kAttentionChunk;
      _mm512_storeu_ps(out, _mm512_mul_ps(_mm512_loadu_ps(own), load_codes(keys)));
      _mm512_storeu_ps(out + 16, _mm512_mul_ps(_mm512_loadu_ps(own + 16), load_codes(keys + 16)));
    }
  }

  static void q8_values_to_float(const std::byte* values, const float* scales, std::size_t head_dim,
                                 float* out) {
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += padded(head_dim)) {
      for (std::size_t d = 0; d < head_dim; d += 16) {
        const Q8Values::Row row = {values + d, scales + d / kKvScaleDims * kAttentionChunk + j};
        _mm512_storeu_ps(out + d, row.load(0, lanes_at(d, head_dim)));
      }
    }
  }

  template <std::size_t Q>
  static void scores(const float* const* q, const ChunkKv& kv, std::size_t head_dim, std::size_t first,
                     std::size_t end, float* out) {
    if (kv.float_keys) {
      chunk_scores<Q>(q, FloatKeys{kv}, head_dim, first, end, out);
    } else if (kv.key_scales) {
      chunk_scores<Q>(q, Q8Keys{kv}, head_dim, first, end, out);
    } else {
      chunk_scores<Q>(q, HalfKeys{kv}, head_dim, first, end, out);
    }
  }

  static MaxSum weigh(float* scores, std::size_t begin, std::size_t end, float scale) {
    const bool whole = begin == 0 && end == kAttentionChunk;
    return whole ? weigh_chunk<true>(scores, begin, end, scale)
                 : weigh_chunk<false>(scores, begin, end, scale);
  }

  template <std::size_t Q>
  static void values(const float* weights, const ChunkKv& kv, std::size_t head_dim, std::size_t begin,
                     std::size_t end, float* sums, const Merging* merging) {
    if (kv.float_values) {
      chunk_values<Q>(weights, FloatValues{kv, head_dim}, begin, end, sums, merging);
    } else if (kv.value_scales) {
      chunk_values<Q>(weights, Q8Values{kv, head_dim}, begin, end, sums, merging);
    } else {
      chunk_values<Q>(weights, HalfValues{kv, head_dim}, begin, end, sums, merging);
    }
  }

  static void powers(float* x) {
    _mm512_store_ps(x, exp_not_positive(static_cast<__mmask16>(0xffff), _mm512_load_ps(x)));
  }

  static void merge(const float* own, const Merging& merging, std::size_t query, std::size_t head_dim) {
    for (std::size_t d = 0; d < head_dim; d += 16)
      merge_into(merging, query, d, lanes_at(d, head_dim), _mm512_loadu_ps(own + d));
  }

  static void clear(float* x, std::size_t n) {  // a multiple of 16
    for (std::size_t i = 0; i < n; i += 16) _mm512_storeu_ps(x + i, _mm512_setzero_ps());
  }

  static void scale(float* x, float by, std::size_t n) { avx512::scale(x, by, n); }
};

}  // namespace

void attention(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
               float scale, float* scratch) {
  attend_rows<Vectors>(rows, shape, num_heads, heads, scale, scratch);
}

}  // namespace shoal::avx512
