#pragma once

#include <string>

namespace shoal {

// Where things live, after the XDG base directory specification.
std::string cache_directory();  // ~/.cache/shoal: models
std::string state_directory();  // ~/.local/state/shoal: keys, what the hub remembers, workers' stores

}  // namespace shoal
