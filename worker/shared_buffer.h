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
  std::size_t capacity() const { return block_ ? block_->capacity : 0; }  // the memory it holds
  Payload payload(std::size_t offset, std::size_t count) const {
    return Payload(*this, bytes().subspan(offset, count));
  }

 private:
  friend class SharedBufferPool;
  struct Block;
  struct Idle {
    std::mutex mutex;
    std::vector<std::unique_ptr<Block>> blocks;  // longest idle first
    std::size_t bytes = 0;
  };
  struct Block {
    std::atomic<std::uint32_t> references{1};
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;
    std::size_t capacity = 0;
    std::shared_ptr<Idle> home;  // while on loan, so that the pool's end does not matter
  };
  static constexpr std::size_t kMaxIdle = 256;
  static constexpr std::size_t kMaxIdleBytes = 2 << 20;
  static constexpr std::size_t kMaxKeptBytes =
      512 << 10;  // larger ones are prefill's: rare, and not worth keeping

  explicit SharedBuffer(Block* block) : block_(block) {}

  static void give_back(Block* block) {
    std::unique_ptr<Block> owned(block);
    const std::shared_ptr<Idle> home = std::move(owned->home);
    if (owned->capacity > kMaxKeptBytes) return;
    const std::lock_guard lock(home->mutex);
    while (home->blocks.size() == kMaxIdle || home->bytes + owned->capacity > kMaxIdleBytes)
      (void)take_from(*home, 0);
    home->bytes += owned->capacity;
    home->blocks.push_back(std::move(owned));
  }
  static std::unique_ptr<Block> take_from(Idle& idle, std::size_t i) {
    std::unique_ptr<Block> block = std::move(idle.blocks[i]);
    idle.blocks.erase(idle.blocks.begin() + static_cast<std::ptrdiff_t>(i));
    idle.bytes -= block->capacity;
    return block;
  }

  Block* block_ = nullptr;
};

// Buffers used again: after warm-up, taking one of a size taken before allocates nothing. Any thread.
class SharedBufferPool {
 public:
  SharedBufferPool() { idle_->blocks.reserve(SharedBuffer::kMaxIdle); }

  // Contents unspecified. Holds at most half as much again as was asked for, and 1 KB: a log of small steps
  // must not come to hold the buffers of large ones.
  SharedBuffer take(std::size_t size) {
    std::unique_ptr<SharedBuffer::Block> block = take_idle(size, size + size / 2 + 1024);
    if (!block) {
      block = std::make_unique<SharedBuffer::Block>();
      block->bytes = std::make_unique_for_overwrite<std::byte[]>(size);
      block->capacity = size;
    }
    block->size = size;
    block->references.store(1, std::memory_order_relaxed);
    block->home = idle_;
    return SharedBuffer(block.release());
  }

 private:
  // The one that was used last: its memory may still be in a cache.
  std::unique_ptr<SharedBuffer::Block> take_idle(std::size_t least, std::size_t most) {
    const std::lock_guard lock(idle_->mutex);
    for (std::size_t i = idle_->blocks.size(); i-- > 0;) {
      const std::size_t capacity = idle_->blocks[i]->capacity;
      if (least <= capacity && capacity <= most) return SharedBuffer::take_from(*idle_, i);
    }
    return nullptr;
  }

  std::shared_ptr<SharedBuffer::Idle> idle_ = std::make_shared<SharedBuffer::Idle>();
};

}  // namespace shoal
