#pragma once

#include <cstddef>

namespace shoal {

// How many mutexes our own code has locked in this process, all threads together (a library's own are not
// counted). A test binary that calls it is linked with -Wl,--wrap=pthread_mutex_lock.
std::size_t num_locks();

}  // namespace shoal
