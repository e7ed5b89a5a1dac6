#include "kernels/attention_tiles.h"
#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

constexpr std::size_t kUnitVectors = kUnit / kLanes;

// Fewer than four, without reading past the last.
float32x4_t load_few_f16(const std::uint16_t* from, std::size_t n) {
  std::uint16_t halves[kLanes] = {};
  for (std::size_t i = 0; i < n && i < kLanes; ++i) halves[i] = from[i];
  return load_f16(halves);
}

// Four codes of q8, of which there may be fewer.
float32x4_t load_few_codes(const std::byte* from, std::size_t n) {
  std::int8_t codes[2 * kLanes] = {};
  __builtin_memcpy(codes, from, n < kLanes ? n : kLanes);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vld1_s8(codes)))));
}
float32x4_t load_codes(const std::byte* from) {
  std::uint32_t codes;
  __builtin_memcpy(&codes, from, sizeof codes);
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(codes)))));
}

void prefetch(const void* line) { __builtin_prefetch(line); }

// Keys of dimension d: 16 positions of the chunk from 16*unit on, as four vectors.
struct HalfKeys {
  const std::uint16_t* at;
  const std::uint16_t* next;

  HalfKeys(const ChunkKv& kv, std::size_t unit)
      : at(halves_at(kv.keys[unit / 2]) + kUnit * (unit % 2)), next(halves_at(kv.next_keys[unit / 2])) {}
  float32x4_t load(std::size_t v, std::size_t d) const {
    return load_f16(at + v * kLanes + d * kKvBlockPositions);
  }
  void fetch_next(std::size_t d) const { prefetch(next + d * kKvBlockPositions); }
};
struct Q8Keys {
  const std::byte* at;
  const std::byte* next;
  const float* scales;

  Q8Keys(const ChunkKv& kv, std::size_t unit)
      : at(kv.keys[unit / 2] + kUnit * (unit % 2)),
        next(kv.next_keys[unit / 2]),
        scales(kv.key_scales + kUnit * unit) {}
  float32x4_t load(std::size_t v, std::size_t d) const {
    const float* own = scales + d / kKvScaleDims * kAttentionChunk + v * kLanes;
    return vmulq_f32(vld1q_f32(own), load_codes(at + v * kLanes + d * kKvBlockPositions));
  }
  void fetch_next(std::size_t d) const { prefetch(next + d * kKvBlockPositions); }
};
struct FloatKeys {
  const float* at;

  FloatKeys(const ChunkKv& kv, std::size_t unit) : at(kv.float_keys + kUnit * unit) {}
  float32x4_t load(std::size_t v, std::size_t d) const {
    return vld1q_f32(at + v * kLanes + d * kAttentionChunk);
  }
  void fetch_next(std::size_t) const {}
};

// q.k of Q queries for 16 positions: six by four vectors of sums leave eight registers.
template <std::size_t Q, typename Keys>
[[gnu::noinline]] void unit_scores(const float* const* queries, Keys keys, std::size_t head_dim,
                                   float* scores) {
  const float* q[Q];
  float32x4_t z[Q][kUnitVectors];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
    q[i] = queries[i];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v) z[i][v] = vdupq_n_f32(0.0f);
  }
  for (std::size_t d = 0; d < head_dim; ++d) {
    keys.fetch_next(d);
    float32x4_t k[kUnitVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v) k[v] = keys.load(v, d);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const float query = q[i][d];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kUnitVectors; ++v) z[i][v] = vfmaq_n_f32(z[i][v], k[v], query);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v)
      vst1q_f32(scores + i * kAttentionChunk + v * kLanes, z[i][v]);
  }
}

// The chunk's lanes [4v, 4v + 4) that are in [begin, end).
uint32x4_t lanes_in(std::size_t begin, std::size_t end, std::size_t v) {
  const std::size_t first = v * kLanes;
  return vbicq_u32(lanes_at(0, end > first ? end - first : 0),
                   lanes_at(0, begin > first ? begin - first : 0));
}

// The values of position j, lanes are dimensions from d on.
struct HalfValues {
  const ChunkKv& kv;
  std::size_t head_dim;

  struct Row {
    const std::uint16_t* at;
    float32x4_t load(std::size_t v) const { return load_f16(at + v * kLanes); }
    float32x4_t load_few(std::size_t v, std::size_t n) const { return load_few_f16(at + v * kLanes, n); }
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
    float32x4_t load(std::size_t v) const { return vmulq_n_f32(load_codes(at + v * kLanes), *scale); }
    float32x4_t load_few(std::size_t v, std::size_t n) const {
      return vmulq_n_f32(load_few_codes(at + v * kLanes, n), *scale);
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
    float32x4_t load(std::size_t v) const { return vld1q_f32(at + v * kLanes); }
    float32x4_t load_few(std::size_t v, std::size_t) const { return load(v); }  // padded
  };
  Row row(std::size_t j, std::size_t d) const { return {kv.float_values + j * padded(head_dim) + d}; }
};

// Four dimensions of a query from d on, of which there may be fewer or none.
void merge_into(const Merging& merging, std::size_t query, std::size_t d, std::size_t head_dim,
                float32x4_t own) {
  float* out = merging.out[query];
  if (!merging.begins[query])
    own = vfmaq_n_f32(vmulq_n_f32(own, merging.take(query)), load_at(out, d, head_dim), merging.keep(query));
  store_at(out, d, head_dim, own);
}

// 16 dimensions from d on; sums [Q, padded(head_dim)].
template <std::size_t Q, bool whole, typename Values>
[[gnu::noinline]] void add_values(const float* weights, Values values, std::size_t d, std::size_t begin,
                                  std::size_t end, float* sums, const Merging* merging) {
  const std::size_t stride = padded(values.head_dim);
  const std::size_t left = values.head_dim - d;
  float32x4_t o[Q][kUnitVectors];
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v)
      o[i][v] = merging ? vdupq_n_f32(0.0f) : vld1q_f32(sums + i * stride + d + v * kLanes);
  }
  for (std::size_t j = begin; j < end; ++j) {
    const auto row = values.row(j, d);
    float32x4_t value[kUnitVectors];
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v) {
      const std::size_t at = v * kLanes;
      value[v] = whole ? row.load(v) : row.load_few(v, left > at ? left - at : 0);
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < Q; ++i) {
      const float weight = weights[i * kAttentionChunk + j];
#pragma GCC unroll 4
      for (std::size_t v = 0; v < kUnitVectors; ++v) o[i][v] = vfmaq_n_f32(o[i][v], value[v], weight);
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < Q; ++i) {
#pragma GCC unroll 4
    for (std::size_t v = 0; v < kUnitVectors; ++v) {
      if (merging) {
        merge_into(*merging, i, d + v * kLanes, values.head_dim, o[i][v]);
      } else {
        vst1q_f32(sums + i * stride + d + v * kLanes, o[i][v]);
      }
    }
  }
}

template <std::size_t Q, typename Values>
void chunk_values(const float* weights, Values values, std::size_t begin, std::size_t end, float* sums,
                  const Merging* merging) {
  std::size_t d = 0;
  for (; d + kUnit <= values.head_dim; d += kUnit)
    add_values<Q, true>(weights, values, d, begin, end, sums, merging);
  if (d < values.head_dim) add_values<Q, false>(weights, values, d, begin, end, sums, merging);
}

struct Vectors {
  static void keys_to_float(const std::uint16_t* keys, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kKvBlockPositions; i += kLanes) vst1q_f32(out + i, load_f16(keys + i));
    }
  }

  static void values_to_float(const std::uint16_t* values, std::size_t head_dim, float* out) {
    const std::size_t stride = padded(head_dim);
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += stride) {
      std::size_t d = 0;
      for (; d + kLanes <= head_dim; d += kLanes) vst1q_f32(out + d, load_f16(values + d));
      for (; d < stride; d += kLanes)
        vst1q_f32(out + d, load_few_f16(values + d, d < head_dim ? head_dim - d : 0));
    }
  }

  static void q8_keys_to_float(const std::byte* keys, const float* scales, std::size_t head_dim, float* out) {
    for (std::size_t d = 0; d < head_dim; ++d, keys += kKvBlockPositions, out += kAttentionChunk) {
      const float* own = scales + d / kKvScaleDims * kAttentionChunk;
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kKvBlockPositions; i += kLanes)
        vst1q_f32(out + i, vmulq_f32(vld1q_f32(own + i), load_codes(keys + i)));
    }
  }

  static void q8_values_to_float(const std::byte* values, const float* scales, std::size_t head_dim,
                                 float* out) {
    for (std::size_t j = 0; j < kKvBlockPositions; ++j, values += head_dim, out += padded(head_dim)) {
      for (std::size_t d = 0; d < padded(head_dim); d += kLanes) {
        const std::size_t left = d < head_dim ? head_dim - d : 0;
        const float32x4_t codes = left >= kLanes ? load_codes(values + d) : load_few_codes(values + d, left);
        const float scale = left == 0 ? 0.0f : scales[d / kKvScaleDims * kAttentionChunk + j];
        vst1q_f32(out + d, vmulq_n_f32(codes, scale));
      }
    }
  }

  template <std::size_t Q>
  static void scores(const float* const* q, const ChunkKv& kv, std::size_t head_dim, std::size_t first,
                     std::size_t end, float* out) {
    for (std::size_t unit = first; unit < end; ++unit) {
      if (kv.float_keys) {
        unit_scores<Q>(q, FloatKeys(kv, unit), head_dim, out + kUnit * unit);
      } else if (kv.key_scales) {
        unit_scores<Q>(q, Q8Keys(kv, unit), head_dim, out + kUnit * unit);
      } else {
        unit_scores<Q>(q, HalfKeys(kv, unit), head_dim, out + kUnit * unit);
      }
    }
  }

  static MaxSum weigh(float* scores, std::size_t begin, std::size_t end, float scale) {
    const float32x4_t lowest = vdupq_n_f32(-__builtin_inff());
    float32x4_t most = lowest;
    for (std::size_t v = 0; v < kAttentionChunk / kLanes; ++v) {
      const float32x4_t z = vmulq_n_f32(vld1q_f32(scores + v * kLanes), scale);
      vst1q_f32(scores + v * kLanes, z);
      most = greater(select(lowest, lanes_in(begin, end, v), z), most);
    }
    const float max = greatest_of(most);
    float32x4_t partials[4] = {vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    for (std::size_t v = 0; v < kAttentionChunk / kLanes; ++v) {
      const float32x4_t power = exp_f32(vsubq_f32(vld1q_f32(scores + v * kLanes), vdupq_n_f32(max)));
      const float32x4_t weight = select(vdupq_n_f32(0.0f), lanes_in(begin, end, v), power);
      vst1q_f32(scores + v * kLanes, weight);
      partials[v % 4] = vaddq_f32(partials[v % 4], weight);
    }
    return {max, sum_of_partials(partials)};
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
    for (std::size_t i = 0; i < 2 * kQueryLanes; i += kLanes) vst1q_f32(x + i, exp_f32(vld1q_f32(x + i)));
  }

  static void merge(const float* own, const Merging& merging, std::size_t query, std::size_t head_dim) {
    for (std::size_t d = 0; d < head_dim; d += kLanes)
      merge_into(merging, query, d, head_dim, vld1q_f32(own + d));
  }

  static void clear(float* x, std::size_t n) {  // a multiple of 16
    for (std::size_t i = 0; i < n; i += kLanes) vst1q_f32(x + i, vdupq_n_f32(0.0f));
  }

  static void scale(float* x, float by, std::size_t n) { neon::scale(x, by, n); }
};

}  // namespace

void attention(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
               float scale, float* scratch) {
  attend_rows<Vectors>(rows, shape, num_heads, heads, scale, scratch);
}

}  // namespace shoal::neon
