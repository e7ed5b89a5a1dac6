#include "kernels/attention_tiles.h"
#include "kernels/avx2/kernels.h"
#include "kernels/avx2/math.h"

namespace shoal::avx2 {
namespace {

__m256 load_f16(const std::uint16_t* from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

// Fewer than eight, without reading past the last.
__m256 load_few_f16(const std::uint16_t* from, std::size_t n) {
  alignas(16) std::uint16_t halves[8] = {};
  for (std::size_t i = 0; i < n; ++i) halves[i] = from[i];
  return load_f16(halves);
}

// Eight codes of q8.
__m256 load_codes(const std::byte* from) {
  const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(from));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
}

__m256 load_few_codes(const std::byte* from, std::size_t n) {
  std::byte codes[8] = {};
  for (std::size_t i = 0; i < n; ++i) codes[i] = from[i];
  return load_codes(codes);
}

void prefetch(const void* line) { _mm_prefetch(static_cast<const char*>(line), _MM_HINT_T0); }

// Keys of dimension d: 16 positions of the chunk from 16*unit on, as two vectors.
struct HalfKeys {
  const std::uint16_t* at;
  const std::uint16_t* next;

  HalfKeys(const ChunkKv& kv, std::size_t unit)
      : at(halves_at(kv.keys[unit / 2]) + 16 * (unit % 2)), next(halves_at(kv.next_keys[unit / 2])) {}
  __m256 load(std::size_t v, std::size_t d) const { return load_f16(at + 8 * v + d * kKvBlockPositions); }
  void fetch_next(std::size_t d) const { prefetch(next + d * kKvBlockPositions); }
};
struct Q8Keys {
  const std::byte* at;
  const std::byte* next;
  const float* scales;

  Q8Keys(const ChunkKv& kv, std::size_t unit)
      : at(kv.keys[unit / 2] + 16 * (unit % 2)),
        next(kv.next_keys[unit / 2]),
        scales(kv.key_scales + 16 * unit) {}
  __m256 load(std::size_t v, std::size_t d) const {
    const float* own = scales + d / kKvScaleDims * kAttentionChunk + 8 * v;
    return _mm256_mul_ps(_mm256_loadu_ps(own), load_codes(at + 8 * v + d * kKvBlockPositions));
  }
  void fetch_next(std::size_t d) const { prefetch(next + d * kKvBlockPositions); }
};
struct FloatKeys {
  const float* at;

  FloatKeys(const ChunkKv& kv, std::size_t unit) : at(kv.float_keys + 16 * unit) {}
  __m256 load(std::size_t v, std::size_t d) const {
    return _mm256_loadu_ps(at + 8 * v + d * kAttentionChunk);
  }
  void fetch_next(std::size_t) const {}
};

// q.k of Q queries for 16 positions.
// Not inlined, so that all pointers stay in registers.
template <std::size_t Q, typename Keys>
[[gnu::noinline]] void unit_scores(const float* const* queries, Keys keys, std::size_t head_dim,
                                   float* scores) {
  const float* q[Q];
  __m256 z[Q][2];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    q[i] = queries[i];
    z[i][0] = z[i][1] = _mm256_setzero_ps();
  }
  for (std::size_t d = 0; d < head_dim; ++d) {
    const __m256 k[2] = {keys.load(0, d), keys.load(1, d)};
    keys.fetch_next(d);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const __m256 query = _mm256_set1_ps(q[i][d]);
      z[i][0] = _mm256_fmadd_ps(query, k[0], z[i][0]);
      z[i][1] = _mm256_fmadd_ps(query, k[1], z[i][1]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    _mm256_storeu_ps(scores + i * kAttentionChunk, z[i][0]);
    _mm256_storeu_ps(scores + i * kAttentionChunk + 8, z[i][1]);
  }
}

// exp_f32 for x <= 0 (or NaN).
__m256 exp_not_positive(__m256 x) {
  const __m256 magic = _mm256_set1_ps(kRoundingMagic);
  const __m256 n = _mm256_sub_ps(_mm256_fmadd_ps(x, _mm256_set1_ps(kLog2E), magic), magic);
  __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2High), x);
  r = _mm256_fmadd_ps(n, _mm256_set1_ps(-kExpLn2Low), r);
  __m256 p = _mm256_set1_ps(kExp4);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp3));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp2));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp1));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(kExp0));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
  // A NaN stays one: its shifted integer is 0.
  const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  const __m256i result = _mm256_add_epi32(_mm256_castps_si256(p), power);
  const __m256 normal = _mm256_cmp_ps(x, _mm256_set1_ps(kExpLowest), _CMP_NLT_UQ);
  return _mm256_and_ps(_mm256_castsi256_ps(result), normal);
}

// The chunk's lanes [8v, 8v + 8) that are in [begin, end).
__m256 lanes_in(std::size_t begin, std::size_t end, std::size_t v) {
  const __m256i lane =
      _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(static_cast<int>(8 * v)));
  const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(begin)), lane);
  const __m256i below_end = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(end)), lane);
  return _mm256_castsi256_ps(_mm256_andnot_si256(before, below_end));
}

// The values of position j, lanes are dimensions from d on.
struct HalfValues {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const std::uint16_t* at;
    __m256 load(std::size_t v) const { return load_f16(at + 8 * v); }
    __m256 load_few(std::size_t v, std::size_t n) const { return load_few_f16(at + 8 * v, n); }
  };
  Row row(std::size_t j, std::size_t d) const {
    const std::size_t at = j % kKvBlockPositions * head_dim + d;
    prefetch(halves_at(kv.next_values[j / kKvBlockPositions]) + at);
    return {halves_at(kv.values[j / kKvBlockPositions]) + at};
  }
};
struct Q8Values {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const std::byte* at;
    const float* scale;  // of the 32 dimensions that these 16 lie in
    __m256 load(std::size_t v) const { return _mm256_mul_ps(_mm256_set1_ps(*scale), load_codes(at + 8 * v)); }
    __m256 load_few(std::size_t v, std::size_t n) const {
      return _mm256_mul_ps(_mm256_set1_ps(*scale), load_few_codes(at + 8 * v, n));
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
    __m256 load(std::size_t v) const { return _mm256_loadu_ps(at + 8 * v); }
    __m256 load_few(std::size_t v, std::size_t) const { return load(v); }  // padded
  };
  Row row(std::size_t j, std::size_t d) const { return {kv.float_values + j * padded(head_dim) + d}; }
};

// Eight dimensions of a query from d on, of which there may be fewer or none.
void merge_into(const Merging& merging, std::size_t query, std::size_t d, std::size_t head_dim, __m256 own) {
  float* out = merging.out[query];
  if (!merging.begins[query]) {
    const __m256 taken = _mm256_mul_ps(own, _mm256_set1_ps(merging.take(query)));
    own = _mm256_fmadd_ps(load_at(out, d, head_dim), _mm256_set1_ps(merging.keep(query)), taken);
  }
  store_at(out, d, head_dim, own);
}

// 16 dimensions from d on; sums [Q, padded(head_dim)].
template <std::size_t Q, bool whole, typename Values>
[[gnu::noinline]] void add_values(const float* weights, Values values, std::size_t d, std::size_t begin,
                                  std::size_t end, float* sums, const Merging* merging) {
  const std::size_t stride = padded(values.head_dim);
  const std::size_t left = values.head_dim - d;
  const std::size_t in_low = least(left, 8);
  const std::size_t in_high = left > 8 ? left - 8 : 0;
  __m256 low[Q];
  __m256 high[Q];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    low[i] = merging ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + i * stride + d);
    high[i] = merging ? _mm256_setzero_ps() : _mm256_loadu_ps(sums + i * stride + d + 8);
  }
  for (std::size_t j = begin; j < end; ++j) {
    const auto row = values.row(j, d);
    const __m256 v_low = whole ? row.load(0) : row.load_few(0, in_low);
    const __m256 v_high = whole ? row.load(1) : row.load_few(1, in_high);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const __m256 weight = _mm256_set1_ps(weights[i * kAttentionChunk + j]);
      low[i] = _mm256_fmadd_ps(weight, v_low, low[i]);
      high[i] = _mm256_fmadd_ps(weight, v_high, high[i]);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    if (merging) {
      merge_into(*merging, i, d, values.head_dim, low[i]);
      merge_into(*merging, i, d + 8, values.head_dim, high[i]);
    } else {
      _mm256_storeu_ps(sums + i * stride + d, low[i]);
      _mm256_storeu_ps(sums + i * stride + d + 8, high[i]);
    }
  }
}

template <std::size_t Q, typename Values>
void chunk_values(const float* weights, Values values, std::size_t begin, std::size_t end, float* sums,
                  const Merging* merging) {
  std::size_t d = 0;
  for (; d + 16 <= values.head_dim; d += 16)
    add_values<Q, true>(weights, values, d, begin, end, sums, merging);
  if (d < values.head_dim) add_values<Q, false>(weights, values, d, begin, end, sums, merging);
}

struct Vectors {
  static void keys_to_float(const std::uint16_t* keys, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kKvBlockPositions; i += 8) _mm256_storeu_ps(out + i, load_f16(keys + i));
    }
  }

  static void values_to_float(const std::uint16_t* values, std::size_t head_dim, float* out) {
    const std::size_t stride = padded(head_dim);
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += stride) {
      std::size_t d = 0;
      for (; d + 8 <= head_dim; d += 8) _mm256_storeu_ps(out + d, load_f16(values + d));
      for (; d < stride; d += 8)
        _mm256_storeu_ps(out + d, load_few_f16(values + d, d < head_dim ? head_dim - d : 0));
    }
  }

  static void q8_keys_to_float(const std::byte* keys, const float* scales, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
      const float* own = scales + d / kKvScaleDims * kAttentionChunk;
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kKvBlockPositions; i += 8)
        _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_loadu_ps(own + i), load_codes(keys + i)));
    }
  }

  static void q8_values_to_float(const std::byte* values, const float* scales, std::size_t head_dim,
                                 float* out) {
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += padded(head_dim)) {
      for (std::size_t d = 0; d < padded(head_dim); d += 8) {
        const std::size_t left = d < head_dim ? head_dim - d : 0;
        const __m256 codes = left >= 8 ? load_codes(values + d) : load_few_codes(values + d, left);
        const float scale = left == 0 ? 0.0f : scales[d / kKvScaleDims * kAttentionChunk + j];
        _mm256_storeu_ps(out + d, _mm256_mul_ps(_mm256_set1_ps(scale), codes));
      }
    }
  }

  template <std::size_t Q>
  static void scores(const float* const* q, const ChunkKv& kv, std::size_t head_dim, std::size_t first,
                     std::size_t end, float* out) {
    for (std::size_t unit = first; unit < end; ++unit) {
      if (kv.float_keys) {
        unit_scores<Q>(q, FloatKeys(kv, unit), head_dim, out + 16 * unit);
      } else if (kv.key_scales) {
        unit_scores<Q>(q, Q8Keys(kv, unit), head_dim, out + 16 * unit);
      } else {
        unit_scores<Q>(q, HalfKeys(kv, unit), head_dim, out + 16 * unit);
      }
    }
  }

  static MaxSum weigh(float* scores, std::size_t begin, std::size_t end, float scale) {
    const __m256 lowest = _mm256_set1_ps(-__builtin_inff());
    __m256 greatest = lowest;
#pragma GCC unroll 8
    for (std::size_t v = 0; v < 8; ++v) {
      const __m256 z = _mm256_mul_ps(_mm256_loadu_ps(scores + 8 * v), _mm256_set1_ps(scale));
      _mm256_storeu_ps(scores + 8 * v, z);
      greatest = _mm256_max_ps(select(lowest, lanes_in(begin, end, v), z), greatest);
    }
    const float max = greatest_of(greatest);
    __m256 partials[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
#pragma GCC unroll 8
    for (std::size_t v = 0; v < 8; ++v) {
      const __m256 power =
          exp_not_positive(_mm256_sub_ps(_mm256_loadu_ps(scores + 8 * v), _mm256_set1_ps(max)));
      const __m256 weight = _mm256_and_ps(power, lanes_in(begin, end, v));
      _mm256_storeu_ps(scores + 8 * v, weight);
      partials[v % 2] = _mm256_add_ps(partials[v % 2], weight);
    }
    return {max, sum_of_partials(partials[0], partials[1])};
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
    _mm256_store_ps(x, exp_not_positive(_mm256_load_ps(x)));
    _mm256_store_ps(x + 8, exp_not_positive(_mm256_load_ps(x + 8)));
  }

  static void merge(const float* own, const Merging& merging, std::size_t query, std::size_t head_dim) {
    for (std::size_t d = 0; d < head_dim; d += 8)
      merge_into(merging, query, d, head_dim, _mm256_loadu_ps(own + d));
  }

  static void clear(float* x, std::size_t n) {  // a multiple of 16
    for (std::size_t i = 0; i < n; i += 8) _mm256_storeu_ps(x + i, _mm256_setzero_ps());
  }

  static void scale(float* x, float by, std::size_t n) { avx2::scale(x, by, n); }
};

}  // namespace

void attention(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
               float scale, float* scratch) {
  attend_rows<Vectors>(rows, shape, num_heads, heads, scale, scratch);
}

}  // namespace shoal::avx2
