#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "worker/profile.h"
#include "worker/shard_store.h"
#include "worker/stage_executor.h"

namespace shoal {

// The thread that owns stages, KV and the pool. Work moves in and results move out through bounded queues; `wake` tells the reactor
// that results wait.
class ComputeThread {
 public:
  using Work = std::variant<OpenStages, RunStep, MeasureProfile>;

  ComputeThread(const KernelTable& kernels, std::size_t num_threads, ShardStore& store, std::function<void()> wake);
  ~ComputeThread();  // finishes the item it is at

  // False when the queue is full.
  bool try_push(Work work) { return work_.try_push(work); }
  std::optional<WorkerEvent> try_pop() { return results_.try_pop(); }

  std::uint64_t finished_work() const { return finished_.load(std::memory_order_relaxed); }
  std::vector<std::uint32_t> free_kv_blocks() const;

 private:
  void run();

  static constexpr std::size_t kQueueCapacity = 256;

  const KernelTable& kernels_;
  const std::size_t num_threads_;
  ShardStore& store_;
  const std::function<void()> wake_;
  BoundedQueue<Work> work_{kQueueCapacity};
  BoundedQueue<WorkerEvent> results_{kQueueCapacity * 2};
  std::atomic<std::uint64_t> finished_{0};
  mutable std::mutex mutex_;  // guards free_kv_blocks_
  std::vector<std::uint32_t> free_kv_blocks_;
  std::thread thread_;        // last: it uses all of the above
};

// The thread that owns the disk: looks at the store, repacks and writes what the hub sends.
class StoreThread {
 public:
  using Work = std::variant<CheckStore, WriteShard>;

  StoreThread(ShardStore& store, std::function<void()> wake);
  ~StoreThread();

  bool try_push(Work work) { return work_.try_push(work); }
  std::optional<WorkerEvent> try_pop() { return results_.try_pop(); }

 private:
  void run();

  static constexpr std::size_t kQueueCapacity = 64;  // a few requests are in flight at a time

  ShardStore& store_;
  const std::function<void()> wake_;
  BoundedQueue<Work> work_{kQueueCapacity};
  BoundedQueue<WorkerEvent> results_{kQueueCapacity};
  std::thread thread_;
};

}  // namespace shoal
