#include "worker/sent_log.h"

#include <algorithm>
#include <utility>

#include "transport/limits.h"

namespace shoal {
namespace {

template <typename T>
std::size_t bytes_of(const std::vector<T>& list) {
  return list.capacity() * sizeof(T);
}

std::size_t bytes_of(const StepFrame& frame) {
  std::size_t bytes = bytes_of(frame.groups) + bytes_of(frame.ids) + bytes_of(frame.opens);
  for (const SequenceOpen& open : frame.opens) bytes += bytes_of(open.params.logit_bias);
  return bytes;
}

std::size_t bytes_of(const CandidatesFrame& candidates) {
  std::size_t bytes = bytes_of(candidates.groups) + bytes_of(candidates.rows);
  for (const CandidateRow& row : candidates.rows) {
    bytes += bytes_of(row.raw) + bytes_of(row.adjusted) + bytes_of(row.digests) + bytes_of(row.by_raw) +
             bytes_of(row.by_adjusted) + bytes_of(row.by_noise);
  }
  return bytes;
}

}  // namespace

void copy_header(const StepFrame& from, StepFrame& to) {
  to.epoch = from.epoch;
  to.pipeline = from.pipeline;
  to.stage = from.stage;
  to.groups = from.groups;
  to.ids = from.ids;
  to.opens = from.opens;
  to.dtype = from.dtype;
  to.sent_at_ns = from.sent_at_ns;
}

void SentLog::keep(std::uint32_t stage, const StepFrame& frame, SharedBuffer rows) {
  Entry& entry = add_entry();
  entry.stage = stage;
  entry.has_candidates = false;
  copy_header(frame, entry.frame);
  entry.rows = std::move(rows);
  account(entry);
}

void SentLog::keep(std::uint32_t stage, const CandidatesFrame& candidates) {
  Entry& entry = add_entry();
  entry.stage = stage;
  entry.has_candidates = true;
  entry.candidates = candidates;
  account(entry);
}

// The slot behind the newest, with a spare's memory where there is one; a full ring is laid out anew with
// twice the room.
SentLog::Entry& SentLog::add_entry() {
  if (count_ == ring_.size()) {
    std::vector<Entry> larger;
    larger.reserve(std::max<std::size_t>(16, ring_.size() * 2));
    for (std::size_t i = 0; i < count_; ++i) larger.push_back(std::move(at(i)));
    larger.resize(larger.capacity());
    ring_ = std::move(larger);
    first_ = 0;  // a full ring has no spares
  }
  Entry& entry = at(count_++);
  if (num_spares_ > 0) {
    --num_spares_;
    spare_bytes_ -= entry.bytes;
  }
  return entry;
}

void SentLog::account(Entry& entry) {
  entry.bytes = sizeof(Entry) + entry.rows.capacity() + bytes_of(entry.frame) + bytes_of(entry.candidates);
  held_ += entry.bytes;
  while (held_ > budget_ && count_ > 1) drop_oldest();
}

// Its slot is left empty: without that every slot of the ring would come to hold the most it ever held.
void SentLog::drop_oldest() {
  Entry oldest = std::move(at(0));
  at(0) = Entry();
  first_ = (first_ + 1) % ring_.size();
  --count_;
  held_ -= oldest.bytes;
  oldest.bytes -= oldest.rows.capacity();
  oldest.rows = SharedBuffer();  // to its pool
  if (spare_bytes_ + oldest.bytes > kMaxSpareBytes) return;
  spare_bytes_ += oldest.bytes;
  at(count_ + num_spares_++) = std::move(oldest);
}

const SentLog::Entry* SentLog::find(std::uint32_t stage, std::span<const RowGroup> groups) const {
  for (std::size_t i = count_; i-- > 0;) {
    const Entry& entry = at(i);
    if (entry.stage == stage && std::ranges::equal(entry.groups(), groups)) return &entry;
  }
  return nullptr;
}

void SentLog::clear() {
  ring_ = std::vector<Entry>();
  first_ = count_ = num_spares_ = spare_bytes_ = held_ = 0;
}

void fill_payload(const SharedBuffer& rows, std::vector<Payload>& chunks) {
  chunks.clear();
  for (std::size_t at = 0; at < rows.size(); at += kMaxPayloadChunkBytes) {
    chunks.push_back(rows.payload(at, std::min(kMaxPayloadChunkBytes, rows.size() - at)));
  }
}

}  // namespace shoal
