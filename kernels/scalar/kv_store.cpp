#include "kernels/half.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {

void kv_store(const float* k, const float* v, const KvShape& shape, std::size_t slot,
              std::uint16_t* key_block, std::uint16_t* value_block) {
  const std::size_t head_elements = shape.head_dim * kKvBlockPositions;
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    std::uint16_t* keys = key_block + head * head_elements + slot;
    std::uint16_t* values = value_block + head * head_elements + slot * shape.head_dim;
    for (std::size_t d = 0; d < shape.head_dim; ++d) {
      keys[d * kKvBlockPositions] = f16_from_float(k[head * shape.head_dim + d]);
      values[d] = f16_from_float(v[head * shape.head_dim + d]);
    }
  }
}

}  // namespace shoal::scalar
