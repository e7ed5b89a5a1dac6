#pragma once

#include <cstddef>
#include <vector>

#include "kernels/weight_type.h"

namespace shoal::test {

// One row as the GGUF format defines it, in double: written from the format's description, apart from the
// code under test.
std::vector<double> gguf_values(WeightType type, const std::byte* row, std::size_t cols);

}  // namespace shoal::test
