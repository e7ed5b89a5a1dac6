#include "kernels/avx2/kernels.h"

namespace shoal::avx2 {

const KernelTable& table() {
  static constexpr KernelTable kTable = {
      .name = "avx2",
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

const KernelTable& vnni_table() {
  static const KernelTable kTable = [] {
    KernelTable kernels = table();
    kernels.name = "avxvnni";
    kernels.matmul = matmul_vnni;
    return kernels;
  }();
  return kTable;
}

}  // namespace shoal::avx2
