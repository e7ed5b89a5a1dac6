#include "kernels/avx2/kernels.h"
#include "kernels/avx512/kernels.h"
#include "kernels/native.h"

namespace shoal {
namespace {

bool runs_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}

bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vnni");
}

}  // namespace

std::vector<const KernelTable*> native_kernels() {
  __builtin_cpu_init();
  std::vector<const KernelTable*> tables;
  if (runs_avx2()) tables.push_back(&avx2::table());
  if (runs_avx512()) tables.push_back(&avx512::table());
  return tables;
}

}  // namespace shoal
