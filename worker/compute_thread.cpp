#include "worker/compute_thread.h"

#include "base/log.h"

namespace shoal {

ComputeThread::ComputeThread(const KernelTable& kernels, std::size_t num_threads, ShardStore& store, std::function<void()> wake)
    : kernels_(kernels), num_threads_(num_threads), store_(store), wake_(std::move(wake)), thread_([this] { run(); }) {}

ComputeThread::~ComputeThread() {
  work_.close();
  results_.close();
  thread_.join();
}

std::vector<std::uint32_t> ComputeThread::free_kv_blocks() const {
  const std::lock_guard lock(mutex_);
  return free_kv_blocks_;
}

void ComputeThread::run() {
  ThreadPool pool(num_threads_);
  StageExecutor executor(kernels_, pool, store_);
  while (std::optional<Work> work = work_.pop()) {
    WorkerEvent result;
    if (auto* step = std::get_if<RunStep>(&*work)) {
      result = executor.run(std::move(step->frame));
    } else if (const auto* open = std::get_if<OpenStages>(&*work)) {
      result = executor.open(open->plan, open->self);
      store_.retain(open->plan.tensors);
    } else {
      Result<ProfileReport> report = measure_profile(std::get<MeasureProfile>(*work).request, kernels_, pool);
      if (!report) log_error("profile_failed", {{"reason", report.error().message()}});
      result = ProfileDone{report ? *std::move(report) : ProfileReport{}};
    }
    finished_.fetch_add(1, std::memory_order_relaxed);
    if (!std::holds_alternative<ProfileDone>(result)) {
      const std::lock_guard lock(mutex_);
      free_kv_blocks_ = executor.free_kv_blocks();
    }
    // Results have twice the room of work, and the reactor empties them whenever it looks: a full queue means it is gone.
    if (!results_.try_push(result)) return;
    wake_();
  }
}

StoreThread::StoreThread(ShardStore& store, std::function<void()> wake)
    : store_(store), wake_(std::move(wake)), thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  work_.close();
  results_.close();
  thread_.join();
}

void StoreThread::run() {
  while (std::optional<Work> work = work_.pop()) {
    WorkerEvent result;
    if (const auto* check = std::get_if<CheckStore>(&*work)) {
      result = store_.check(check->epoch, check->tensors);
    } else {
      const WriteShard& write = std::get<WriteShard>(*work);
      std::visit([&](auto outcome) { result = std::move(outcome); }, store_.write(write.tensor, write.data));
    }
    if (!results_.try_push(result)) return;
    wake_();
  }
}

}  // namespace shoal
