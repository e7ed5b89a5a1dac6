#pragma once

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "transport/payload.h"

namespace shoal {

class BufferPool;

// A pool's buffer on loan; goes back when destroyed, on whichever thread that is. Move-only.
class PooledBuffer {
 public:
  PooledBuffer(std::shared_ptr<BufferPool> pool, std::vector<std::byte> bytes)
      : pool_(std::move(pool)), bytes_(std::move(bytes)) {}
  PooledBuffer(PooledBuffer&&) noexcept = default;
  PooledBuffer& operator=(PooledBuffer&&) = delete;
  ~PooledBuffer();

  MutableBytes bytes() { return bytes_; }

  // Hands it over as a frame's payload: the first `size` bytes.
  static Payload into_payload(PooledBuffer buffer, std::size_t size) {
    const Bytes view =
        Bytes(buffer.bytes_).first(size);  // the vector's memory stays where it is when the owner is moved
    return Payload(std::move(buffer), view);
  }

 private:
  std::shared_ptr<BufferPool> pool_;
  std::vector<std::byte> bytes_;
};

// Buffers for payloads on their way out, used again: after warm-up a take() allocates nothing. Any thread.
class BufferPool : public std::enable_shared_from_this<BufferPool> {
 public:
  static constexpr std::size_t kMaxIdle = 64;

  static std::shared_ptr<BufferPool> make() { return std::make_shared<BufferPool>(); }
  BufferPool() { idle_.reserve(kMaxIdle); }

  // At least `size` bytes, contents unspecified.
  PooledBuffer take(std::size_t size) {
    std::vector<std::byte> bytes;
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        bytes = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (bytes.size() < size) bytes.resize(size);
    return PooledBuffer(shared_from_this(), std::move(bytes));
  }

 private:
  friend class PooledBuffer;
  void give_back(std::vector<std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(bytes));
  }

  std::mutex mutex_;
  std::vector<std::vector<std::byte>> idle_;
};

inline PooledBuffer::~PooledBuffer() {
  if (pool_) pool_->give_back(std::move(bytes_));
}

}  // namespace shoal
