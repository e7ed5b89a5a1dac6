#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/cluster_state.h"

namespace shoal {

// Models whose shape is known without their file: sizes of each tensor, no bytes. A simulation needs no more,
// so hardware can be chosen for a model that nobody has fetched yet.
std::vector<std::string> known_shapes();
// nullopt: not one of them.
std::optional<ServedModel> model_of_shape(const std::string& name);

}  // namespace shoal
