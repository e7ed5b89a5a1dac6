#pragma once

#include <cstdint>
#include <string>

namespace shoal {

// "1 token", "2 tokens"
inline std::string counted(std::uint64_t count, const char* noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

}  // namespace shoal
