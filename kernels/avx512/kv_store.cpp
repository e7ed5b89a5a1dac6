#include "kernels/avx512/kernels.h"
#include "kernels/avx512/math.h"
#include "kernels/kv_rows.h"

namespace shoal::avx512 {
namespace {

__m256i to_f16(__m512 x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

void store_key(const float* k, std::size_t head_dim, std::uint16_t* keys) {
  alignas(32) std::uint16_t halves[16];
  for (std::size_t d = 0; d < head_dim; d += 16) {
    const std::size_t n = head_dim - d < 16 ? head_dim - d : 16;
    _mm256_store_si256(reinterpret_cast<__m256i*>(halves),
                       to_f16(_mm512_maskz_loadu_ps(first_lanes(n), k + d)));
    for (std::size_t i = 0; i < n; ++i) keys[(d + i) * kKvBlockPositions] = halves[i];
  }
}

void store_value(const float* v, std::size_t head_dim, std::uint16_t* values) {
  for (std::size_t d = 0; d < head_dim; d += 16) {
    const __mmask16 lanes = lanes_at(d, head_dim);
    _mm256_mask_storeu_epi16(values + d, lanes, to_f16(_mm512_maskz_loadu_ps(lanes, v + d)));
  }
}

void store_f16_rows(const float* k, const float* v, const KvShape& shape, std::size_t slot,
                    std::uint16_t* key_block, std::uint16_t* value_block) {
  const std::size_t head_dim = shape.head_dim;
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    const std::size_t begin = head * head_dim * kKvBlockPositions;
    store_key(k + head * head_dim, head_dim, key_block + begin + slot);
    store_value(v + head * head_dim, head_dim, value_block + begin + slot * head_dim);
  }
}

std::uint16_t one_to_f16(float x) { return _cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT); }

}  // namespace

void kv_store(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::byte* key_block,
              std::byte* value_block) {
  if (shape.type == KvType::Q8)
    return store_q8<quantise_rows, one_to_f16>(k, v, shape, slot, key_block, value_block);
  store_f16_rows(k, v, shape, slot, reinterpret_cast<std::uint16_t*>(key_block),
                 reinterpret_cast<std::uint16_t*>(value_block));
}

}  // namespace shoal::avx512
