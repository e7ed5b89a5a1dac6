#pragma once

#include <sys/resource.h>

#include <cstddef>

namespace shoal {

// Lets this process open as many files and sockets as the system grants it: distributions start programs with
// far fewer (1,024) than a hub with many clients needs. Returns how many that is.
inline std::size_t raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (limit.rlim_cur < limit.rlim_max && ::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return static_cast<std::size_t>(limit.rlim_cur);
}

}  // namespace shoal
