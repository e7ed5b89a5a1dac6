#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "tests/support/tiny_model.h"

namespace shoal {

// The slow-but-obvious twin of a model whose tensors are all F32: every value f64, every row from the start,
// nothing cached. Returns logits [ids.size()][vocab_size].
std::vector<std::vector<double>> float_twin_logits(const TinyModel& model, std::span<const TokenId> ids);

}  // namespace shoal
