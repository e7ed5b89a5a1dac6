#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "base/micro_batch.h"
#include "transport/messages.h"

namespace shoal {

// Bytes with a shared, thread-safe reference count; a reference is one pointer, so it fits inside a Payload.
class SharedBuffer {
 public:
  SharedBuffer() = default;
  static SharedBuffer of_size(std::size_t size) {
    SharedBuffer buffer;
    buffer.bytes_ = std::make_shared<std::vector<std::byte>>(size);
    return buffer;
  }
  std::byte* data() { return bytes_ ? bytes_->data() : nullptr; }
  Bytes bytes() const { return bytes_ ? Bytes(*bytes_) : Bytes(); }
  std::size_t size() const { return bytes_ ? bytes_->size() : 0; }
  Payload payload(std::size_t offset, std::size_t size) const { return Payload(*this, bytes().subspan(offset, size)); }

 private:
  std::shared_ptr<std::vector<std::byte>> bytes_;
};

// What a stage sent, kept to answer repeated steps. Oldest leave first when the bytes run out; the newest always stays.
class SentLog {
 public:
  struct Entry {
    std::uint32_t stage = 0;
    StepFrame frame;                   // payload empty: rebuilt from rows; meaningless for candidates
    std::optional<CandidatesFrame> candidates;
    SharedBuffer rows;
  };

  void set_budget(std::size_t bytes) { budget_ = bytes; }
  void keep(Entry entry);
  // The answer to exactly these groups at this stage; nullptr if it is no longer held.
  const Entry* find(std::uint32_t stage, std::span<const RowGroup> groups) const;
  void clear();
  std::size_t held_bytes() const { return held_; }

 private:
  static std::size_t cost(const Entry& entry);

  std::deque<Entry> entries_;
  std::size_t budget_ = 1 << 20;
  std::size_t held_ = 0;
};

// Cuts `rows` into payload chunks of at most kMaxPayloadChunkBytes, all sharing the buffer.
std::vector<Payload> payload_chunks(const SharedBuffer& rows);

}  // namespace shoal
