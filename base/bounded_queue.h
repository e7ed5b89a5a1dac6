#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace shoal {

// A fixed ring between two threads, through which values move. Allocates only at construction (the slots' own
// contents aside). Any thread may push, any thread may pop. A full queue is an honest `false`.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : slots_(capacity) {}

  // Moves from `value` only when it returns true. False: full or closed.
  bool try_push(T& value) {
    {
      const std::lock_guard lock(mutex_);
      if (closed_ || count_ == slots_.size()) return false;
      slots_[(head_ + count_) % slots_.size()].emplace(std::move(value));
      ++count_;
    }
    ready_.notify_one();
    return true;
  }
  bool try_push(T&& value) { return try_push(value); }

  std::optional<T> try_pop() {
    const std::lock_guard lock(mutex_);
    return take();
  }

  // Waits; nullopt once closed and drained.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return count_ > 0 || closed_; });
    return take();
  }

  // No more pushes; what is queued can still be popped.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    ready_.notify_all();
  }

  std::size_t size() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  std::size_t capacity() const { return slots_.size(); }

 private:
  std::optional<T> take() {
    if (count_ == 0) return std::nullopt;
    std::optional<T> value = std::move(slots_[head_]);
    slots_[head_].reset();
    head_ = (head_ + 1) % slots_.size();
    --count_;
    return value;
  }

  mutable std::mutex mutex_;
  std::condition_variable ready_;
  std::vector<std::optional<T>> slots_;
  std::size_t head_ = 0;
  std::size_t count_ = 0;
  bool closed_ = false;
};

}  // namespace shoal
