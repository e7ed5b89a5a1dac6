#pragma once

#include <functional>

#include "kernels/kv_blocks.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace shoal {

// Adds --kv-type f16|q8; another name is an error that lists both. `take` is called where it is given.
CLI::Option* add_kv_type_option(CLI::App& command, const char* what, std::function<void(KvType)> take);

}  // namespace shoal
