#include "tests/support/lock_counter.h"

#include <pthread.h>

#include <atomic>

namespace {

std::atomic<std::size_t> locks{0};

}  // namespace

// The names are the linker's: with --wrap our objects' calls come here, and the C library's function has the
// other name.
extern "C" int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
extern "C" int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  locks.fetch_add(1, std::memory_order_relaxed);
  return __real_pthread_mutex_lock(mutex);
}

namespace shoal {

std::size_t num_locks() { return locks.load(std::memory_order_relaxed); }

}  // namespace shoal
