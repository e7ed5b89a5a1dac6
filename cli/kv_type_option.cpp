#include "cli/kv_type_option.h"

#include <CLI/CLI.hpp>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

namespace shoal {

CLI::Option* add_kv_type_option(CLI::App& command, const char* what, std::function<void(KvType)> take) {
  const std::vector<std::string> names(std::begin(kKvTypeNames), std::end(kKvTypeNames));
  return command
      .add_option_function<std::string>(
          "--kv-type", [take = std::move(take)](const std::string& name) { take(*kv_type_named(name)); },
          what)
      ->type_name("TYPE")
      ->check(CLI::IsMember(names));
}

}  // namespace shoal
