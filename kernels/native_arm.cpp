#include <asm/hwcap.h>
#include <sys/auxv.h>

#include "kernels/native.h"
#include "kernels/neon/kernels.h"

namespace shoal {

std::vector<const KernelTable*> native_kernels() {
  if ((::getauxval(AT_HWCAP) & HWCAP_ASIMDDP) == 0) return {};  // a Cortex-A72 (Raspberry Pi 4) has none
  return {&neon::table()};
}

}  // namespace shoal
