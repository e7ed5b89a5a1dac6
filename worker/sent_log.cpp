#include "worker/sent_log.h"

#include <algorithm>

#include "transport/limits.h"

namespace shoal {

std::size_t SentLog::cost(const Entry& entry) {
  std::size_t bytes = sizeof(Entry) + entry.rows.size() + entry.frame.groups.size() * sizeof(RowGroup) +
                      entry.frame.ids.size() * sizeof(TokenId);
  if (!entry.candidates) return bytes;
  for (const CandidateRow& row : entry.candidates->rows) {
    bytes += sizeof row + (row.raw.size() + row.adjusted.size()) * sizeof(BlockSum) + row.digests.size() * sizeof(std::uint64_t) +
             (row.by_raw.size() + row.by_adjusted.size() + row.by_noise.size()) * sizeof(Candidate);
  }
  return bytes;
}

void SentLog::keep(Entry entry) {
  held_ += cost(entry);
  entries_.push_back(std::move(entry));
  while (held_ > budget_ && entries_.size() > 1) {
    held_ -= cost(entries_.front());
    entries_.pop_front();
  }
}

const SentLog::Entry* SentLog::find(std::uint32_t stage, std::span<const RowGroup> groups) const {
  const auto same_step = [&](const Entry& entry) {
    return entry.stage == stage && std::ranges::equal(entry.frame.groups, groups);
  };
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(), same_step);
  return found == entries_.rend() ? nullptr : &*found;
}

void SentLog::clear() {
  entries_.clear();
  held_ = 0;
}

std::vector<Payload> payload_chunks(const SharedBuffer& rows) {
  std::vector<Payload> chunks;
  for (std::size_t at = 0; at < rows.size(); at += kMaxPayloadChunkBytes) {
    chunks.push_back(rows.payload(at, std::min(kMaxPayloadChunkBytes, rows.size() - at)));
  }
  return chunks;
}

}  // namespace shoal
