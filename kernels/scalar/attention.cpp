#include <algorithm>
#include <limits>

#include "kernels/elementary.h"
#include "kernels/half.h"
#include "kernels/scalar/kernels.h"
#include "kernels/scalar/row_sums.h"

namespace shoal::scalar {
namespace {

// The head's KV of one position.
struct KvHead {
  const AttentionRows& rows;
  const KvShape& shape;
  std::size_t kv_head;

  float key(std::size_t position, std::size_t d) const {
    const std::size_t slot = position % kKvBlockPositions;
    return element(rows.key_blocks[position / kKvBlockPositions], d * kKvBlockPositions + slot, slot, d);
  }
  float value(std::size_t position, std::size_t d) const {
    const std::size_t slot = position % kKvBlockPositions;
    return element(rows.value_blocks[position / kKvBlockPositions], slot * shape.head_dim + d, slot, d);
  }

 private:
  // `at` counts the head's elements.
  float element(const std::byte* block, std::size_t at, std::size_t slot, std::size_t d) const {
    const std::byte* head = block + kv_head * shape.head_bytes();
    if (shape.type == KvType::F16) return half_at(head, at);
    const std::byte* scales = head + shape.head_elements();
    const auto code = static_cast<std::int8_t>(head[at]);
    return half_at(scales, d / kKvScaleDims * kKvBlockPositions + slot) * static_cast<float>(code);
  }
  static float half_at(const std::byte* halves, std::size_t i) {
    return float_from_f16(reinterpret_cast<const std::uint16_t*>(halves)[i]);
  }
};

// What has been seen so far: greatest score, sum of weights, weighted values (in `out`).
struct Merged {
  float max;
  float sum;
  bool empty = true;
};

// Scores of positions [begin, end) of one chunk become weights exp(z - max), at weights[position % 64].
MaxSum chunk_weights(const KvHead& kv, const float* q, std::size_t begin, std::size_t end, float scale,
                     float* weights) {
  float max = -std::numeric_limits<float>::infinity();
  for (std::size_t j = begin; j < end; ++j) {
    float z = 0.0f;
    for (std::size_t d = 0; d < kv.shape.head_dim; ++d) z = fma_f32(q[d], kv.key(j, d), z);
    z = z * scale;
    weights[j % kAttentionChunk] = z;
    max = z > max ? z : max;
  }
  float partials[kPartials] = {};
  for (std::size_t j = begin; j < end; ++j) {
    float& weight = weights[j % kAttentionChunk];
    weight = exp_f32(weight - max);
    partials[j % kPartials] += weight;
  }
  return {max, sum_of_partials(partials)};
}

void merge_chunk(const KvHead& kv, std::size_t begin, std::size_t end, const float* weights, MaxSum chunk,
                 Merged& merged, float* out) {
  const float max = merged.empty || chunk.max > merged.max ? chunk.max : merged.max;
  const float keep = merged.empty ? 0.0f : exp_f32(merged.max - max);
  const float take = exp_f32(chunk.max - max);
  for (std::size_t d = 0; d < kv.shape.head_dim; ++d) {
    float o = 0.0f;
    for (std::size_t j = begin; j < end; ++j) o = fma_f32(weights[j % kAttentionChunk], kv.value(j, d), o);
    out[d] = merged.empty ? o : fma_f32(out[d], keep, o * take);
  }
  merged.sum = merged.empty ? chunk.sum : fma_f32(merged.sum, keep, chunk.sum * take);
  merged.max = max;
  merged.empty = false;
}

// The query at `position`.
void attend(const KvHead& kv, const float* q, std::size_t position, float scale, float* weights, float* out) {
  const std::size_t end = position + 1;
  const std::size_t window = kv.rows.window;
  const std::size_t first = window != 0 && end > window ? end - window : 0;
  Merged merged = {};
  for (std::size_t chunk = first / kAttentionChunk * kAttentionChunk; chunk < end; chunk += kAttentionChunk) {
    const std::size_t chunk_begin = std::max(chunk, first);
    const std::size_t chunk_end = std::min(chunk + kAttentionChunk, end);
    const MaxSum seen = chunk_weights(kv, q, chunk_begin, chunk_end, scale, weights);
    merge_chunk(kv, chunk_begin, chunk_end, weights, seen, merged, out);
  }
  const float inverse = 1.0f / merged.sum;
  for (std::size_t d = 0; d < kv.shape.head_dim; ++d) out[d] *= inverse;
}

}  // namespace

// Source: Vaswani et al. 2017, eq. 1; in chunks with a running maximum as Milakov and Gimelshein 2018 and Dao
// et al. 2022.
void attention(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
               float scale, float* scratch) {
  const std::size_t group = num_heads / shape.num_kv_heads;
  for (std::size_t row = 0; row < rows.num_rows; ++row) {
    for (std::size_t head = heads.begin; head < heads.end; ++head) {
      const KvHead kv = {rows, shape, head / group};
      const std::size_t at = (row * num_heads + head) * shape.head_dim;
      attend(kv, rows.q + at, std::size_t{rows.first_position} + row, scale, scratch, rows.out + at);
    }
  }
}

}  // namespace shoal::scalar
