#include "worker/store_thread.h"

#include "worker/thread_queues.h"

namespace shoal {

WorkerEvent no_room_for(const CheckStore&) {
  return StoreFailed{.tensor = {}, .reason = queue_full("disk").message()};
}
WorkerEvent no_room_for(const WriteShard& write) {
  return StoreFailed{.tensor = write.tensor.sha256, .reason = queue_full("disk").message()};
}

StoreThread::StoreThread(ShardStore& store, std::function<void()> wake)
    : store_(store), wake_(std::move(wake)), thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  stopping_ = true;
  work_.close();
  results_.close();
  thread_.join();
}

void StoreThread::run() {
  while (std::optional<Work> work = work_.pop()) {
    if (stopping_) return;
    WorkerEvent result;
    if (const auto* check = std::get_if<CheckStore>(&*work)) {
      result = store_.check(check->epoch, check->tensors);
    } else {
      const WriteShard& write = std::get<WriteShard>(*work);
      std::visit([&](auto outcome) { result = std::move(outcome); }, store_.write(write.tensor, write.data));
    }
    hand_over(results_, std::move(result), stopping_, wake_);
    // The plan need not wait for it, nor what is asked next: files are known good by their checksums alone.
    if (work_.size() == 0) store_.sync();
  }
}

}  // namespace shoal
