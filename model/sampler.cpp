#include "model/sampler.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "kernels/elementary.h"
#include "model/candidate_order.h"

// At the hub: slices of candidates become one row, and a row becomes a token.

namespace shoal {
namespace {

Failure bad_slice(const CandidateRow& slice, const std::string& why) {
  return fail(ErrorCode::Corrupt, "the candidates of sequence " + std::to_string(raw(slice.sequence)) +
                                      " at position " + std::to_string(slice.position) +
                                      ", head blocks from " + std::to_string(slice.first_block) + ": " + why);
}

float raw_value(const Candidate& c) { return c.logit; }
float adjusted_value(const Candidate& c) { return c.adjusted; }
float noisy_value(const Candidate& c) { return c.adjusted + c.noise; }

// One of a row's three lists, with the value it is sorted by.
struct List {
  std::vector<Candidate> CandidateRow::*member;
  float (*value)(const Candidate&);
};
constexpr List kLists[] = {{&CandidateRow::by_raw, raw_value},
                           {&CandidateRow::by_adjusted, adjusted_value},
                           {&CandidateRow::by_noise, noisy_value}};

bool in_order(const List& list, const Candidate& a, const Candidate& b) {
  return comes_before(list.value(a), a.id, list.value(b), b.id);
}

// The ids a slice may name.
Range ids_of(const CandidateRow& slice, std::uint32_t vocab_size) {
  const std::uint64_t begin = std::uint64_t{slice.first_block} * kHeadBlockRows;
  const std::uint64_t end = begin + slice.raw.size() * kHeadBlockRows;
  return Range{static_cast<std::uint32_t>(std::min<std::uint64_t>(begin, vocab_size)),
               static_cast<std::uint32_t>(std::min<std::uint64_t>(end, vocab_size))};
}

Status check_list(const CandidateRow& slice, const List& list, Range ids) {
  const std::vector<Candidate>& candidates = slice.*list.member;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].id < 0 || !ids.contains(static_cast<std::uint32_t>(candidates[i].id)))
      return bad_slice(slice, "token " + std::to_string(candidates[i].id) + " is not of this slice");
    if (i > 0 && !in_order(list, candidates[i - 1], candidates[i]))
      return bad_slice(slice, "a list is not sorted");
  }
  return {};
}

Status check_slice(const CandidateRow& slice, const CandidateRow& first, std::uint32_t next_block,
                   std::uint32_t vocab_size) {
  if (slice.sequence != first.sequence || slice.step != first.step || slice.position != first.position)
    return bad_slice(slice, "it answers another row");
  if (slice.first_block != next_block)
    return bad_slice(slice, "the next block should be " + std::to_string(next_block));
  const std::size_t blocks = slice.raw.size();
  if (blocks == 0 || blocks > div_ceil(vocab_size, kHeadBlockRows) - next_block)
    return bad_slice(slice, "it has too many blocks, or none");
  if (slice.adjusted.size() != (first.adjusted.empty() ? 0 : blocks) ||
      slice.digests.size() != (first.digests.empty() ? 0 : blocks))
    return bad_slice(slice, "its sums or digests are not one per block");
  for (const List& list : kLists) {
    if ((slice.*list.member).empty() != (first.*list.member).empty())
      return bad_slice(slice, "a list is missing");
    if (Status ok = check_list(slice, list, ids_of(slice, vocab_size)); !ok) return ok;
  }
  return {};
}

// The slice holds the head's last block.
Status check_end(const CandidateRow& slice, std::uint32_t vocab_size) {
  if (slice.first_block + slice.raw.size() == div_ceil(vocab_size, kHeadBlockRows)) return {};
  return bad_slice(slice, "the head's last blocks are missing");
}

template <typename T>
void append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// The best of all slices, as many as are certain: as the slice that returned fewest of what it has.
void merge_list(std::span<const CandidateRow> slices, const List& list, std::uint32_t vocab_size,
                CandidateRow& whole) {
  std::vector<Candidate>& merged = whole.*list.member;
  std::size_t certain = vocab_size;
  for (const CandidateRow& slice : slices) {
    const std::vector<Candidate>& part = slice.*list.member;
    if (part.size() < ids_of(slice, vocab_size).size()) certain = std::min(certain, part.size());
    append(merged, part);
  }
  std::sort(merged.begin(), merged.end(),
            [&](const Candidate& a, const Candidate& b) { return in_order(list, a, b); });
  if (merged.size() > certain) merged.resize(certain);
}

// The candidates that top_k, top_p and min_p leave of a sorted list: the length of a prefix, or nullopt where
// it ends in what was not returned.
std::optional<std::size_t> kept_prefix(const CandidateRow& row, const SamplingParams& params,
                                       std::uint32_t vocab_size) {
  const std::vector<Candidate>& list = row.by_adjusted;
  const std::size_t survivors = params.top_k == 0 ? vocab_size : std::min(params.top_k, vocab_size);
  const std::size_t known = std::min(list.size(), survivors);
  if (params.top_k != 0 && known < survivors) return std::nullopt;
  BlockSum whole = merge_block_sums(row.adjusted);
  if (params.top_k != 0) {
    whole = BlockSum{list.front().adjusted, 0};
    for (std::size_t i = 0; i < known; ++i) whole.sum += exp_f32(list[i].adjusted - whole.max);
  }
  const float mass_wanted = params.top_p * whole.sum;
  float mass = 0;
  for (std::size_t i = 0; i < known; ++i) {
    if (i > 0 && params.top_p < 1.0f && mass >= mass_wanted) return i;
    if (i > 0 && params.min_p > 0.0f && exp_f32(list[i].adjusted - list.front().adjusted) < params.min_p)
      return i;
    mass += exp_f32(list[i].adjusted - whole.max);
  }
  const bool reached = params.top_p < 1.0f && mass >= mass_wanted;
  return known == survivors || reached ? std::optional(known) : std::nullopt;
}

// nullptr: more candidates are needed.
const Candidate* chosen(const CandidateRow& row, const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.greedy()) return row.by_adjusted.empty() ? nullptr : &row.by_adjusted.front();
  if (!params.truncated()) return row.by_noise.empty() ? nullptr : &row.by_noise.front();
  if (row.by_adjusted.empty() || row.adjusted.empty()) return nullptr;
  const std::optional<std::size_t> kept = kept_prefix(row, params, vocab_size);
  if (!kept) return nullptr;
  const Candidate* best = &row.by_adjusted.front();
  for (std::size_t i = 1; i < *kept; ++i)
    if (in_order(kLists[2], row.by_adjusted[i], *best)) best = &row.by_adjusted[i];
  return best;
}

}  // namespace

Result<CandidateRow> merge_candidates(std::span<const CandidateRow> slices, std::uint32_t vocab_size) {
  if (slices.empty()) return fail(ErrorCode::Corrupt, "a row came without candidates");
  std::vector<CandidateRow> sorted(slices.begin(), slices.end());
  std::sort(sorted.begin(), sorted.end(),
            [](const CandidateRow& a, const CandidateRow& b) { return a.first_block < b.first_block; });
  CandidateRow whole;
  whole.sequence = sorted.front().sequence;
  whole.step = sorted.front().step;
  whole.position = sorted.front().position;
  for (const CandidateRow& slice : sorted) {
    const auto next_block = static_cast<std::uint32_t>(whole.raw.size());
    if (Status ok = check_slice(slice, sorted.front(), next_block, vocab_size); !ok) return fail(ok.error());
    if (slice.has_target && whole.has_target) return bad_slice(slice, "two slices hold the known next token");
    append(whole.raw, slice.raw);
    append(whole.adjusted, slice.adjusted);
    append(whole.digests, slice.digests);
    if (!slice.has_target) continue;
    whole.has_target = true;
    whole.target_logit = slice.target_logit;
  }
  if (Status ok = check_end(sorted.back(), vocab_size); !ok) return fail(ok.error());
  for (const List& list : kLists) merge_list(sorted, list, vocab_size, whole);
  return whole;
}

Status check_row(const CandidateRow& row, std::uint32_t vocab_size) {
  if (Status ok = check_slice(row, row, 0, vocab_size); !ok) return ok;
  return check_end(row, vocab_size);
}

std::optional<ChosenToken> choose_token(const CandidateRow& row, const SamplingParams& params,
                                        std::uint32_t vocab_size) {
  const Candidate* best = chosen(row, params, vocab_size);
  if (!best) return std::nullopt;
  const BlockSum whole = merge_block_sums(row.raw);
  ChosenToken choice{.id = best->id, .logprob = logprob_of(whole, best->logit), .top = {}};
  for (const Candidate& candidate : row.by_raw) {
    if (choice.top.size() == params.top_logprobs) break;
    choice.top.push_back(TokenLogprob{candidate.id, logprob_of(whole, candidate.logit)});
  }
  return choice;
}

BlockSum merge_block_sums(std::span<const BlockSum> blocks) {
  if (blocks.empty()) return {};
  BlockSum whole = blocks.front();
  for (const BlockSum& block : blocks.subspan(1)) {
    const float max = std::max(whole.max, block.max);
    whole.sum = fma_f32(whole.sum, exp_f32(whole.max - max), block.sum * exp_f32(block.max - max));
    whole.max = max;
  }
  return whole;
}

float logprob_of(const BlockSum& whole, float logit) { return (logit - whole.max) - log_f32(whole.sum); }

float logprob_of(const CandidateRow& row, float logit) {
  return logprob_of(merge_block_sums(row.raw), logit);
}

}  // namespace shoal
