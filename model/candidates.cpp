#include <algorithm>
#include <array>

#include "base/check.h"
#include "base/checked_math.h"
#include "kernels/elementary.h"
#include "model/candidate_order.h"
#include "model/digest.h"
#include "model/sampler.h"

// Beside the head: what the holder of a slice of the head says about the next token.

namespace shoal {
namespace {

// How many candidates are returned where a cut's place is not known beforehand.
constexpr std::uint32_t kOrdinaryDepth = 256;
// Values compared with the worst candidate at a time; it gets better from one time to the next.
constexpr std::size_t kScanned = 256;

// One row's logits of one slice, with what is derived from them.
struct Slice {
  std::span<const float> logits;
  std::span<const float> adjusted;  // the logits themselves where nothing adjusts them
  TokenId first_id;

  bool holds(TokenId id) const {
    return id >= first_id && static_cast<std::size_t>(id - first_id) < logits.size();
  }
  std::size_t index_of(TokenId id) const { return static_cast<std::size_t>(id - first_id); }
};

const SamplingParams& greedy_defaults() {
  static const SamplingParams params{.temperature = 0, .logit_bias = {}};
  return params;
}

void block_sums(const KernelTable& kernels, std::span<const float> values, std::vector<BlockSum>& sums) {
  sums.clear();
  sums.reserve(div_ceil(values.size(), kHeadBlockRows));
  for (std::size_t begin = 0; begin < values.size(); begin += kHeadBlockRows) {
    const std::size_t size = std::min<std::size_t>(kHeadBlockRows, values.size() - begin);
    const MaxSum block = kernels.max_sum(values.data() + begin, size);
    sums.push_back(BlockSum{block.max, block.sum});
  }
}

void block_digests(std::span<const float> logits, std::vector<std::uint64_t>& digests) {
  digests.reserve(div_ceil(logits.size(), kHeadBlockRows));
  for (std::size_t begin = 0; begin < logits.size(); begin += kHeadBlockRows)
    digests.push_back(digest_of_logits(
        logits.subspan(begin, std::min<std::size_t>(kHeadBlockRows, logits.size() - begin))));
}

// Applied once to each id however often it was seen: after the first time the value differs from the raw
// logit, or applying it changes nothing.
void apply_repeat_penalty(const Slice& slice, const SamplingParams& params, std::span<const TokenId> seen,
                          float* adjusted) {
  const std::size_t last = std::min<std::size_t>(params.repeat_last_n, seen.size());
  for (TokenId id : seen.last(last)) {
    if (!slice.holds(id)) continue;
    const std::size_t i = slice.index_of(id);
    const float raw = slice.logits[i];
    if (adjusted[i] == raw) adjusted[i] = raw > 0 ? raw / params.repeat_penalty : raw * params.repeat_penalty;
  }
}

// counts: one float per logit, of any content.
void apply_count_penalties(const Slice& slice, const SamplingParams& params, std::span<const TokenId> answer,
                           float* adjusted, float* counts) {
  for (TokenId id : answer)
    if (slice.holds(id)) counts[slice.index_of(id)] = 0;
  for (TokenId id : answer)
    if (slice.holds(id)) counts[slice.index_of(id)] += 1;
  for (TokenId id : answer) {
    if (!slice.holds(id)) continue;
    float& count = counts[slice.index_of(id)];
    if (count == 0) continue;
    adjusted[slice.index_of(id)] -= count * params.frequency_penalty + params.presence_penalty;
    count = 0;
  }
}

void adjust(const KernelTable& kernels, const Slice& slice, const SamplingParams& params,
            std::span<const TokenId> history, std::span<float> adjusted, std::span<float> counts) {
  std::copy(slice.logits.begin(), slice.logits.end(), adjusted.begin());
  if (params.repeat_penalty != 1.0f) apply_repeat_penalty(slice, params, history, adjusted.data());
  if (params.presence_penalty != 0 || params.frequency_penalty != 0) {
    const std::size_t begin = std::min<std::size_t>(params.answer_begin, history.size());
    apply_count_penalties(slice, params, history.subspan(begin), adjusted.data(), counts.data());
  }
  for (const LogitBias& bias : params.logit_bias)
    if (slice.holds(bias.id)) adjusted[slice.index_of(bias.id)] += bias.bias;
  if (params.greedy() || params.temperature == 1.0f) return;
  kernels.divide(adjusted.data(), params.temperature, adjusted.size());
}

// The noise of one id, drawn as the whole vocabulary's would be.
float noise_of(const KernelTable& kernels, const SamplingParams& params, std::uint32_t position, TokenId id) {
  std::array<float, 4> noise;
  const auto first = static_cast<std::uint32_t>(id) & ~3u;
  kernels.gumbel(params.seed, position, first, noise.data(), noise.size());
  return noise[static_cast<std::uint32_t>(id) & 3u];
}

// The `count` best of `values` (whose first belongs to first_id), best first. Only the ids are set. A heap
// with the worst on top; once it is full, a vector comparison passes over what is no better.
void select_best(const KernelTable& kernels, std::span<const float> values, TokenId first_id,
                 std::size_t count, std::vector<Candidate>& best) {
  best.clear();
  if (count == 0) return;
  best.reserve(std::min(count, values.size()));
  const auto value_of = [&](const Candidate& c) { return values[static_cast<std::size_t>(c.id - first_id)]; };
  const auto better = [&](const Candidate& a, const Candidate& b) {
    return comes_before(value_of(a), a.id, value_of(b), b.id);
  };
  const auto offer = [&](std::size_t i) {
    const Candidate candidate{.id = first_id + static_cast<TokenId>(i)};
    if (best.size() == count) {
      if (!better(candidate, best.front())) return;
      std::pop_heap(best.begin(), best.end(), better);
      best.pop_back();
    }
    best.push_back(candidate);
    std::push_heap(best.begin(), best.end(), better);
  };
  std::size_t next = std::min(count, values.size());
  for (std::size_t i = 0; i < next; ++i) offer(i);
  std::array<std::uint32_t, kScanned> places;
  for (; next < values.size(); next += kScanned) {
    const std::size_t size = std::min(kScanned, values.size() - next);
    const std::size_t found =
        kernels.find_above(values.data() + next, size, value_of(best.front()), places.data());
    for (std::size_t i = 0; i < found; ++i) offer(next + places[i]);
  }
  std::sort_heap(best.begin(), best.end(), better);
}

void fill(const KernelTable& kernels, const Slice& slice, const SamplingParams& params,
          std::uint32_t position, std::vector<Candidate>& candidates) {
  for (Candidate& candidate : candidates) {
    candidate.logit = slice.logits[slice.index_of(candidate.id)];
    candidate.adjusted = slice.adjusted[slice.index_of(candidate.id)];
    candidate.noise = params.greedy() ? 0 : noise_of(kernels, params, position, candidate.id);
  }
}

}  // namespace

std::uint32_t candidate_depth(const SamplingParams& params, std::uint32_t vocab_size) {
  if (params.greedy() || !params.truncated()) return 1;
  if (params.top_k != 0)
    return std::min(params.top_k, vocab_size);  // top_p's mass is measured in all that top_k left
  return std::min(kOrdinaryDepth, vocab_size);
}

void make_candidates(const KernelTable& kernels, std::span<const float> logits, TokenId first_id,
                     const SamplingParams* params, const TokenHistory& history, std::uint32_t depth,
                     TokenId target, bool digest, std::span<float> scratch, CandidateRow& row) {
  const SamplingParams& how = params ? *params : greedy_defaults();
  SHOAL_CHECK(scratch.size() >= 2 * logits.size() && first_id % 4 == 0);
  const std::span<float> adjusted = scratch.first(logits.size());
  const std::span<float> noise = scratch.subspan(logits.size(), logits.size());
  const bool changes = how.adjusts() || (!how.greedy() && how.temperature != 1.0f);
  const Slice slice{logits, changes ? std::span<const float>(adjusted) : logits, first_id};
  const std::uint32_t drawn = row.position + 1;
  const std::size_t wanted = std::max(depth, 1u);

  block_sums(kernels, logits, row.raw);
  row.digests.clear();
  if (digest) block_digests(logits, row.digests);
  row.has_target = slice.holds(target);
  row.target_logit = row.has_target ? logits[slice.index_of(target)] : 0;
  select_best(kernels, logits, first_id, how.top_logprobs, row.by_raw);
  fill(kernels, Slice{logits, logits, first_id}, greedy_defaults(), drawn, row.by_raw);

  if (changes) adjust(kernels, slice, how, history.ids, adjusted, noise);
  row.adjusted.clear();
  row.by_adjusted.clear();
  row.by_noise.clear();
  if (!how.greedy()) block_sums(kernels, slice.adjusted, row.adjusted);
  if (how.greedy() || how.truncated()) {
    select_best(kernels, slice.adjusted, first_id, how.greedy() ? 1 : wanted, row.by_adjusted);
    fill(kernels, slice, how, drawn, row.by_adjusted);
    return;
  }
  kernels.gumbel(how.seed, drawn, static_cast<std::uint32_t>(first_id), noise.data(), noise.size());
  for (std::size_t i = 0; i < noise.size(); ++i) noise[i] = slice.adjusted[i] + noise[i];
  select_best(kernels, noise, first_id, wanted, row.by_noise);
  fill(kernels, slice, how, drawn, row.by_noise);
}

}  // namespace shoal
