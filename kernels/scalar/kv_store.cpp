#include "kernels/half.h"
#include "kernels/kv_rows.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

void store_f16(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::uint16_t* keys,
               std::uint16_t* values) {
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    const std::size_t begin = head * shape.head_elements();
    for (std::size_t d = 0; d < shape.head_dim; ++d) {
      keys[begin + d * kKvBlockPositions + slot] = f16_from_float(k[head * shape.head_dim + d]);
      values[begin + slot * shape.head_dim + d] = f16_from_float(v[head * shape.head_dim + d]);
    }
  }
}

}  // namespace

void kv_store(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::byte* key_block,
              std::byte* value_block) {
  if (shape.type == KvType::Q8)
    return store_q8<quantise_rows, f16_from_float>(k, v, shape, slot, key_block, value_block);
  store_f16(k, v, shape, slot, reinterpret_cast<std::uint16_t*>(key_block),
            reinterpret_cast<std::uint16_t*>(value_block));
}

}  // namespace shoal::scalar
