#include "kernels/neon/kernels.h"

namespace shoal::neon {

const KernelTable& table() {
  static constexpr KernelTable kTable = {
      .name = "neon",
      .quantise_rows = quantise_rows,
      .matmul = matmul,
      .subtract_quantised = subtract_quantised,
      .rms_norm = rms_norm,
      .silu_mul = silu_mul,
      .gelu_mul = gelu_mul,
      .add = add,
      .scale = scale,
      .rope = rope,
      .kv_store = kv_store,
      .attention = attention,
      .divide = divide,
      .max_sum = max_sum,
      .find_above = find_above,
      .gumbel = gumbel,
      .int8_peak = int8_peak,
      .read_all = read_all,
  };
  return kTable;
}

}  // namespace shoal::neon
