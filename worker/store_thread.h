#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <thread>
#include <variant>

#include "base/bounded_queue.h"
#include "worker/shard_store.h"
#include "worker/worker_state.h"

namespace shoal {

// What a full queue answers in the thread's place, so that nothing waits for ever. The work is left as it
// was.
WorkerEvent no_room_for(const CheckStore& check);
WorkerEvent no_room_for(const WriteShard& write);

// The thread that owns the disk: looks at the store, repacks and writes what the hub sends.
class StoreThread {
 public:
  using Work = std::variant<CheckStore, WriteShard>;

  StoreThread(ShardStore& store, std::function<void()> wake);
  ~StoreThread();

  bool try_push(Work& work) { return work_.try_push(work); }
  std::optional<WorkerEvent> try_pop() { return results_.try_pop(); }

 private:
  void run();

  static constexpr std::size_t kQueueCapacity = 64;  // a few requests are in flight at a time

  ShardStore& store_;
  const std::function<void()> wake_;
  BoundedQueue<Work> work_{kQueueCapacity};
  BoundedQueue<WorkerEvent> results_{kQueueCapacity};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace shoal
