#include "cli/paths.h"

#include <cstdlib>

namespace shoal {
namespace {

std::string from_environment(const char* variable, const char* below_home) {
  if (const char* value = std::getenv(variable); value && *value) return std::string(value) + "/shoal";
  const char* home = std::getenv("HOME");
  return std::string(home && *home ? home : ".") + "/" + below_home + "/shoal";
}

}  // namespace

std::string cache_directory() { return from_environment("XDG_CACHE_HOME", ".cache"); }
std::string state_directory() { return from_environment("XDG_STATE_HOME", ".local/state"); }

}  // namespace shoal
