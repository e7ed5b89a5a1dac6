#include "worker/sent_log.h"

#include <algorithm>
#include <utility>

#include "transport/limits.h"

namespace shoal {
namespace {

std::size_t bytes_of(const StepFrame& frame) {
  std::size_t bytes = frame.groups.size() * sizeof(RowGroup) + frame.ids.size() * sizeof(TokenId);
  for (const SequenceOpen& open : frame.opens)
    bytes += sizeof open + open.params.logit_bias.size() * sizeof(LogitBias);
  return bytes;
}

std::size_t bytes_of(const CandidatesFrame& candidates) {
  std::size_t bytes = candidates.groups.size() * sizeof(RowGroup);
  for (const CandidateRow& row : candidates.rows) {
    bytes += sizeof row + (row.raw.size() + row.adjusted.size()) * sizeof(BlockSum) +
             row.digests.size() * sizeof(std::uint64_t) +
             (row.by_raw.size() + row.by_adjusted.size() + row.by_noise.size()) * sizeof(Candidate);
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

// The slot behind the newest; a full ring is laid out anew with twice the room.
SentLog::Entry& SentLog::add_entry() {
  if (count_ == ring_.size()) {
    std::vector<Entry> larger;
    larger.reserve(std::max<std::size_t>(16, ring_.size() * 2));
    for (std::size_t i = 0; i < count_; ++i) larger.push_back(std::move(at(i)));
    larger.resize(larger.capacity());
    ring_ = std::move(larger);
    first_ = 0;
  }
  return at(count_++);
}

void SentLog::account(Entry& entry) {
  entry.bytes = sizeof(Entry) + entry.rows.size() +
                (entry.has_candidates ? bytes_of(entry.candidates) : bytes_of(entry.frame));
  held_ += entry.bytes;
  while (held_ > budget_ && count_ > 1) drop_oldest();
}

void SentLog::drop_oldest() {
  Entry& oldest = at(0);
  held_ -= oldest.bytes;
  oldest.rows = SharedBuffer();
  first_ = (first_ + 1) % ring_.size();
  --count_;
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
  first_ = count_ = held_ = 0;
}

void fill_payload(const SharedBuffer& rows, std::vector<Payload>& chunks) {
  chunks.clear();
  for (std::size_t at = 0; at < rows.size(); at += kMaxPayloadChunkBytes) {
    chunks.push_back(rows.payload(at, std::min(kMaxPayloadChunkBytes, rows.size() - at)));
  }
}

}  // namespace shoal
