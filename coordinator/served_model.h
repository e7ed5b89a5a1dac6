#pragma once

#include <string>

#include "base/result.h"
#include "coordinator/cluster_state.h"
#include "model/gguf.h"

namespace shoal {

// Reads what the cluster needs to know of a model: its shape, its tensors and each one's SHA-256. Hashes
// every byte once (about a second a gigabyte and core; on all cores), so call it before serving. `id` is the
// name clients use.
Result<ServedModel> read_served_model(const GgufFile& file, std::string id, std::size_t num_threads);

}  // namespace shoal
