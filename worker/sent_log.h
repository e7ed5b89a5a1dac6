#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/micro_batch.h"
#include "transport/messages.h"
#include "worker/shared_buffer.h"

namespace shoal {

// What a stage sent, kept to answer repeated steps. Oldest leave first when the bytes run out; the newest
// always stays. Entries count for the memory they really hold (capacities). A ring whose dropped entries are
// written over, so that after warm-up keeping a step allocates nothing.
class SentLog {
 public:
  struct Entry {
    std::uint32_t stage = 0;
    bool has_candidates = false;  // what was sent: candidates, or the frame with these rows
    StepFrame frame;              // payload empty: rebuilt from rows
    CandidatesFrame candidates;
    SharedBuffer rows;
    std::size_t bytes = 0;  // what it counts for

    std::span<const RowGroup> groups() const { return has_candidates ? candidates.groups : frame.groups; }
  };

  void set_budget(std::size_t bytes) { budget_ = bytes; }
  // Copies what `stage` is about to send: the frame for the next stage without its payload, whose rows are
  // shared; or candidates.
  void keep(std::uint32_t stage, const StepFrame& frame, SharedBuffer rows);
  void keep(std::uint32_t stage, const CandidatesFrame& candidates);
  // The answer to exactly these groups at this stage; nullptr if it is no longer held. Valid until the next
  // keep or clear.
  const Entry* find(std::uint32_t stage, std::span<const RowGroup> groups) const;
  void clear();  // gives the memory back
  std::size_t held_bytes() const { return held_; }
  std::size_t num_entries() const { return count_; }

 private:
  Entry& at(std::size_t i) { return ring_[(first_ + i) % ring_.size()]; }
  const Entry& at(std::size_t i) const { return ring_[(first_ + i) % ring_.size()]; }
  Entry& add_entry();
  void drop_oldest();
  void account(Entry& entry);

  // Of dropped entries whose memory the next steps use, all together; others' goes back to the system.
  static constexpr std::size_t kMaxSpareBytes = 256 << 10;

  std::vector<Entry> ring_;  // from first_: the entries, the spares, empty slots
  std::size_t first_ = 0;
  std::size_t count_ = 0;
  std::size_t num_spares_ = 0;
  std::size_t spare_bytes_ = 0;
  std::size_t budget_ = 1 << 20;
  std::size_t held_ = 0;
};

// Everything but the payload.
void copy_header(const StepFrame& from, StepFrame& to);

// Cuts `rows` into payload chunks of at most kMaxPayloadChunkBytes, all sharing the buffer, in place of what
// `chunks` held.
void fill_payload(const SharedBuffer& rows, std::vector<Payload>& chunks);

}  // namespace shoal
