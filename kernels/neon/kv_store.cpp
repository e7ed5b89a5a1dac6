#include "kernels/kv_rows.h"
#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

// [head_dim] f32 to f16, `stride` elements apart.
void store_f16(const float* from, std::size_t head_dim, std::uint16_t* to, std::size_t stride) {
  std::uint16_t halves[kLanes];
  for (std::size_t d = 0; d < head_dim; d += kLanes) {
    const std::size_t n = head_dim - d < kLanes ? head_dim - d : kLanes;
    vst1_u16(halves, vreinterpret_u16_f16(vcvt_f16_f32(load_at(from, d, head_dim))));
    for (std::size_t i = 0; i < n; ++i) to[(d + i) * stride] = halves[i];
  }
}

void store_f16_rows(const float* k, const float* v, const KvShape& shape, std::size_t slot,
                    std::uint16_t* key_block, std::uint16_t* value_block) {
  const std::size_t head_dim = shape.head_dim;
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    const std::size_t begin = head * head_dim * kKvBlockPositions;
    store_f16(k + head * head_dim, head_dim, key_block + begin + slot, kKvBlockPositions);
    store_f16(v + head * head_dim, head_dim, value_block + begin + slot * head_dim, 1);
  }
}

std::uint16_t to_f16(float x) { return vget_lane_u16(vreinterpret_u16_f16(vcvt_f16_f32(vdupq_n_f32(x))), 0); }

}  // namespace

void kv_store(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::byte* key_block,
              std::byte* value_block) {
  if (shape.type == KvType::Q8)
    return store_q8<quantise_rows, to_f16>(k, v, shape, slot, key_block, value_block);
  store_f16_rows(k, v, shape, slot, reinterpret_cast<std::uint16_t*>(key_block),
                 reinterpret_cast<std::uint16_t*>(value_block));
}

}  // namespace shoal::neon
