#include "kernels/amx/kernels.h"
#include "kernels/avx512/kernels.h"

namespace shoal::amx {

const KernelTable& table() {
  static const KernelTable kTable = [] {
    KernelTable kernels = avx512::table();
    kernels.name = "amx";
    kernels.matmul = matmul;
    kernels.int8_peak = int8_peak;
    return kernels;
  }();
  return kTable;
}

}  // namespace shoal::amx
