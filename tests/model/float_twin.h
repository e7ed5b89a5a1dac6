#pragma once

#include <span>
#include <vector>

#include "base/ids.h"
#include "tests/support/tiny_model.h"

namespace shoal {

// The slow-but-obvious twin of a model whose tensors are all F32: every value f64, every row from the start,
// nothing cached. With Q8 each row of keys and values is rounded to 127ths of the greatest in every 32
// dimensions of a head, these to 11 bits; with F16 it stays as it is. Returns logits [ids.size()][vocab_size].
std::vector<std::vector<double>> float_twin_logits(const TinyModel& model, std::span<const TokenId> ids,
                                                   KvType kv_type = KvType::F16);

}  // namespace shoal
