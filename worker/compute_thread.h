#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "base/clock.h"
#include "worker/profile.h"
#include "worker/shard_store.h"
#include "worker/stage_executor.h"

namespace shoal {

// What a full queue answers in the thread's place, so that nothing waits for ever. The work is left as it
// was.
WorkerEvent no_room_for(const OpenStages& open);
WorkerEvent no_room_for(RunStep& step);  // takes the frame
WorkerEvent no_room_for(const MeasureProfile& measure);
WorkerEvent no_room_for(const EchoCompute& echo);

// The thread that owns stages and KV and drives the pool. Work moves in and results move out through bounded
// queues; `wake` tells the reactor that results wait.
class ComputeThread {
 public:
  using Work = std::variant<OpenStages, RunStep, MeasureProfile, EchoCompute>;

  // `profile_bytes`: the working set of measure_profile.
  ComputeThread(const KernelTable& kernels, std::size_t num_threads, std::uint64_t profile_bytes,
                ShardStore& store, std::function<void()> wake);
  ~ComputeThread();  // finishes the item it is at

  // False, and `work` as it was, when the queue is full.
  bool try_push(Work& work) { return work_.try_push(work); }
  std::optional<WorkerEvent> try_pop() { return results_.try_pop(); }

  std::uint64_t finished_work() const { return pool_.finished(); }  // grows while a long step runs, too
  std::vector<std::uint32_t> free_kv_blocks() const;                // as of a moment ago

 private:
  void run();
  WorkerEvent carry_out(Work& work);
  void look_at_kv(bool at_once);

  static constexpr std::size_t kQueueCapacity = 256;

  const KernelTable& kernels_;
  const std::uint64_t profile_bytes_;
  ShardStore& store_;
  const std::function<void()> wake_;
  ThreadPool pool_;
  StageExecutor executor_;  // compute thread only
  Time looked_at_{};        // compute thread only
  BoundedQueue<Work> work_{kQueueCapacity};
  BoundedQueue<WorkerEvent> results_{kQueueCapacity * 2};
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;  // guards free_kv_blocks_
  std::vector<std::uint32_t> free_kv_blocks_;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace shoal
