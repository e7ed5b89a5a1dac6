// Candidate rows as packed records (docs/WIRE_FORMAT.md, "Candidates"): they outgrow a header frame, so they
// travel as payload.
#include "base/checked_math.h"
#include "transport/limits.h"
#include "transport/wire_flat.h"

namespace shoal::wire {
namespace {

// Every record begins with this; the lists follow in this order, all multiples of 8 bytes.
struct RowHead {
  std::uint64_t sequence;
  std::uint64_t step;
  std::uint32_t position;
  std::uint32_t first_block;
  std::uint32_t num_raw;
  std::uint32_t num_adjusted;
  std::uint32_t num_digests;
  std::uint32_t num_by_raw;
  std::uint32_t num_by_adjusted;
  std::uint32_t num_by_noise;
  float target_logit;
  std::uint32_t has_target;
};
static_assert(sizeof(RowHead) == 56 && std::is_trivially_copyable_v<RowHead>);
static_assert(sizeof(BlockSum) == 8 && sizeof(Candidate) == 16, "lists are copied as they lie");

template <typename T>
std::size_t size_of(const std::vector<T>& list) {
  return list.size() * sizeof(T);
}

template <typename T>
void append(const std::vector<T>& list, std::byte*& out) {
  if (!list.empty()) std::memcpy(out, list.data(), size_of(list));
  out += size_of(list);
}

std::uint32_t count(std::size_t size) { return static_cast<std::uint32_t>(size); }  // bounded before

RowHead head_of(const CandidateRow& row) {
  return {.sequence = raw(row.sequence),
          .step = raw(row.step),
          .position = row.position,
          .first_block = row.first_block,
          .num_raw = count(row.raw.size()),
          .num_adjusted = count(row.adjusted.size()),
          .num_digests = count(row.digests.size()),
          .num_by_raw = count(row.by_raw.size()),
          .num_by_adjusted = count(row.by_adjusted.size()),
          .num_by_noise = count(row.by_noise.size()),
          .target_logit = row.target_logit,
          .has_target = row.has_target ? 1u : 0u};
}

// Takes records off the front of the bytes; refuses to read, or to allocate for, what is not there.
class RowReader {
 public:
  explicit RowReader(Bytes bytes) : rest_(bytes) {}

  bool read(CandidateRow& row) {
    if (rest_.size() < sizeof(RowHead)) return false;
    const auto head = load<RowHead>(rest_.data());
    rest_ = rest_.subspan(sizeof(RowHead));
    if (head.has_target > 1) return false;
    row.sequence = SequenceId{head.sequence};
    row.step = StepNumber{head.step};
    row.position = head.position;
    row.first_block = head.first_block;
    row.target_logit = head.target_logit;
    row.has_target = head.has_target == 1;
    return list(row.raw, head.num_raw) && list(row.adjusted, head.num_adjusted) &&
           list(row.digests, head.num_digests) && list(row.by_raw, head.num_by_raw) &&
           list(row.by_adjusted, head.num_by_adjusted) && list(row.by_noise, head.num_by_noise);
  }
  bool at_end() const { return rest_.empty(); }

 private:
  template <typename T>
  bool list(std::vector<T>& out, std::size_t size) {
    if (size > rest_.size() / sizeof(T)) return false;
    out.resize(size);
    if (size > 0) std::memcpy(out.data(), rest_.data(), size * sizeof(T));
    rest_ = rest_.subspan(size * sizeof(T));
    return true;
  }

  Bytes rest_;
};

}  // namespace

std::size_t candidates_size(const std::vector<CandidateRow>& rows) {
  std::size_t size = 0;
  for (const CandidateRow& row : rows) {
    size += sizeof(RowHead) + size_of(row.raw) + size_of(row.adjusted) + size_of(row.digests) +
            size_of(row.by_raw) + size_of(row.by_adjusted) + size_of(row.by_noise);
  }
  return size;
}

void write_candidates(const std::vector<CandidateRow>& rows, MutableBytes out) {
  std::byte* at = out.data();
  for (const CandidateRow& row : rows) {
    store(at, head_of(row));
    at += sizeof(RowHead);
    append(row.raw, at);
    append(row.adjusted, at);
    append(row.digests, at);
    append(row.by_raw, at);
    append(row.by_adjusted, at);
    append(row.by_noise, at);
  }
}

Result<std::vector<CandidateRow>> read_candidates(Bytes bytes, std::uint32_t num_rows) {
  if (num_rows > kMaxRowsPerStep) return corrupt("CandidatesFrame.rows: more than 512");
  std::vector<CandidateRow> rows(num_rows);
  RowReader reader(bytes);
  for (CandidateRow& row : rows) {
    if (!reader.read(row)) return corrupt("CandidatesFrame.rows: a list ends past the payload");
  }
  if (!reader.at_end()) return corrupt("CandidatesFrame.rows: bytes left over");
  return rows;
}

}  // namespace shoal::wire
