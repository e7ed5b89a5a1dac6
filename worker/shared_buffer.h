#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "transport/payload.h"

namespace shoal {

// Bytes with a shared, thread-safe reference count; a reference is one pointer, so it fits inside a Payload.
// Comes from a pool and goes back to it when the last reference dies, on whichever thread that is.
class SharedBuffer {
 public:
  SharedBuffer() = default;
  SharedBuffer(const SharedBuffer& other) noexcept : block_(other.block_) {
    if (block_) block_->references.fetch_add(1, std::memory_order_relaxed);
  }
  SharedBuffer(SharedBuffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  SharedBuffer& operator=(SharedBuffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~SharedBuffer() {
    if (block_ && block_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) give_back(block_);
  }

  std::byte* data() { return block_ ? block_->bytes.get() : nullptr; }
  Bytes bytes() const { return block_ ? Bytes(block_->bytes.get(), block_->size) : Bytes(); }
  std::size_t size() const { return block_ ? block_->size : 0; }
  Payload payload(std::size_t offset, std::size_t count) const {
    return Payload(*this, bytes().subspan(offset, count));
  }

 private:
  friend class SharedBufferPool;
  struct Block;
  struct Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<Block>> blocks;
  };
  struct Block {
    std::atomic<std::uint32_t> references{1};
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    std::size_t capacity = 0;
    std::shared_ptr<Idle> home;  // while on loan, so that the pool's end does not matter
  };
  static constexpr std::size_t kMaxIdle = 256;
  static constexpr std::size_t kMaxKeptBytes =
      64 << 10;  // larger ones are prefill's: rare, and not worth keeping

  explicit SharedBuffer(Block* block) : block_(block) {}

  static void give_back(Block* block) {
    std::unique_ptr<Block> owned(block);
    const std::shared_ptr<Idle> home = std::move(owned->home);
    if (owned->capacity > kMaxKeptBytes) return;
    const std::lock_guard lock(home->mutex);
    if (home->blocks.size() < kMaxIdle) home->blocks.push_back(std::move(owned));
  }

  Block* block_ = nullptr;
};

// Buffers used again: after warm-up, taking one of a decode step's size allocates nothing. Any thread.
class SharedBufferPool {
 public:
  SharedBufferPool() { idle_->blocks.reserve(SharedBuffer::kMaxIdle); }

  // Contents unspecified.
  SharedBuffer take(std::size_t size) {
    std::unique_ptr<SharedBuffer::Block> block;
    {
      const std::lock_guard lock(idle_->mutex);
      if (!idle_->blocks.empty()) {
        block = std::move(idle_->blocks.back());
        idle_->blocks.pop_back();
      }
    }
    if (!block) block = std::make_unique<SharedBuffer::Block>();
    if (block->capacity < size) {
      block->bytes = std::make_unique_for_overwrite<std::byte[]>(size);
      block->capacity = size;
    }
    block->size = size;
    block->references.store(1, std::memory_order_relaxed);
    block->home = idle_;
    return SharedBuffer(block.release());
  }

 private:
  std::shared_ptr<SharedBuffer::Idle> idle_ = std::make_shared<SharedBuffer::Idle>();
};

}  // namespace shoal
