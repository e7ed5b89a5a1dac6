#pragma once

#include <vector>

#include "kernels/kernel_table.h"

namespace shoal {

// The tables beside the scalar one that this machine can run, fastest last. One .cpp per processor family.
std::vector<const KernelTable*> native_kernels();

}  // namespace shoal
