#pragma once

#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/sampling.h"
#include "kernels/kernel_table.h"

namespace shoal {

// --- Beside the head: from logits to candidates
// ---------------------------------------------------------------------------------

// The ids a sequence's penalties look at.
struct TokenHistory {
  std::span<const TokenId> ids;  // prompt and answer so far, positions [0, ids.size())
};

// How many candidates a request needs from each holder in the ordinary case; `vocab_size` when nothing
// smaller is exact.
std::uint32_t candidate_depth(const SamplingParams& params, std::uint32_t vocab_size);

// Fills everything of `row` but its ids (sequence, step, position, first_block are the caller's). logits:
// this holder's slice, raw, [num_rows of the slice]; first_id = first_block * 1024. scratch: 2 *
// logits.size() floats. `params` null: greedy defaults.
void make_candidates(const KernelTable& kernels, std::span<const float> logits, TokenId first_id,
                     const SamplingParams* params, const TokenHistory& history, std::uint32_t depth,
                     TokenId target, bool digest, std::span<float> scratch, CandidateRow& row);

// --- At the hub: from candidates to a token
// --------------------------------------------------------------------------------------

struct TokenLogprob {
  TokenId id = 0;
  float logprob = 0;
};

struct ChosenToken {
  TokenId id = 0;
  float logprob = 0;              // of the raw logits
  std::vector<TokenLogprob> top;  // params.top_logprobs best, best first
};

// Joins the slices of one row (any order in, block order within) as if one holder had the whole head. (Where
// every slice returned all it has, the lists are the whole vocabulary, which may be more than the depth asked
// for.) Errors: Corrupt, where a slice contradicts itself or another or some block is missing.
Result<CandidateRow> merge_candidates(std::span<const CandidateRow> slices, std::uint32_t vocab_size);

// Whether merge_candidates takes this row as the whole head's, in one slice, without making the copy. Corrupt
// if not.
Status check_row(const CandidateRow& row, std::uint32_t vocab_size);

// top_p's mass is measured in what top_k left (in the whole vocabulary where top_k is off).
// nullopt: top-p or min-p cuts inside the tail that was not returned; ask again with a greater depth.
std::optional<ChosenToken> choose_token(const CandidateRow& row, const SamplingParams& params,
                                        std::uint32_t vocab_size);

// Block sums joined by block ascending; logprob_of(whole, logit) then costs one log.
BlockSum merge_block_sums(std::span<const BlockSum> blocks);
float logprob_of(const BlockSum& whole, float logit);

// log-probability of a raw logit under the row's merged (max, sum).
float logprob_of(const CandidateRow& row, float logit);

}  // namespace shoal
