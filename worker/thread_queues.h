#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "base/bounded_queue.h"
#include "worker/worker_state.h"

namespace shoal {

// How the compute thread and the store thread speak with the reactor.

// The reactor empties the results whenever it looks, so a full queue is a matter of moments.
inline void hand_over(BoundedQueue<WorkerEvent>& results, WorkerEvent event,
                      const std::atomic<bool>& stopping, const std::function<void()>& wake) {
  while (!results.try_push(event) && !stopping) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  wake();
}

inline Error queue_full(const char* which) {
  return Error(ErrorCode::Unavailable, std::string("the worker's ") + which + " queue is full");
}

}  // namespace shoal
