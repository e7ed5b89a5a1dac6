#include "tests/model/candidate_cases.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "base/checked_math.h"
#include "tests/support/random.h"

namespace shoal {

CandidateRow CandidateCase::slice(Range blocks, std::uint32_t depth) const {
  const std::size_t begin = blocks.begin * kHeadBlockRows;
  const std::size_t end = std::min<std::size_t>(blocks.end * kHeadBlockRows, logits.size());
  std::vector<float> scratch(2 * (end - begin), 12345.0f);
  CandidateRow row;
  row.sequence = SequenceId{7};
  row.position = position();
  row.first_block = blocks.begin;
  if (depth == 0) depth = candidate_depth(params, vocab_size());
  make_candidates(*runnable_kernels().back(), std::span(logits).subspan(begin, end - begin),
                  static_cast<TokenId>(begin), &params, TokenHistory{history}, depth, target, true, scratch,
                  row);
  return row;
}

CandidateRow CandidateCase::merged(std::span<const std::uint32_t> bounds, std::uint32_t depth) const {
  std::vector<CandidateRow> slices;
  for (std::size_t i = 0; i + 1 < bounds.size(); ++i)
    slices.push_back(slice(Range{bounds[i], bounds[i + 1]}, depth));
  std::rotate(slices.begin(), slices.begin() + static_cast<std::ptrdiff_t>(slices.size() / 2), slices.end());
  Result<CandidateRow> row = merge_candidates(slices, vocab_size());
  if (!row) FAIL(row.error().message());
  return *std::move(row);
}

CandidateRow CandidateCase::whole(std::uint32_t depth) const {
  return slice(Range{0, static_cast<std::uint32_t>(div_ceil(logits.size(), kHeadBlockRows))}, depth);
}

ChosenToken CandidateCase::choose(std::span<const std::uint32_t> bounds) const {
  if (std::optional<ChosenToken> choice = choose_token(merged(bounds), params, vocab_size())) return *choice;
  std::optional<ChosenToken> choice = choose_token(merged(bounds, vocab_size()), params, vocab_size());
  REQUIRE(choice);
  return *choice;
}

std::vector<float> CandidateCase::brute_force_adjusted() const {
  std::vector<float> adjusted = logits;
  const std::size_t last = std::min<std::size_t>(params.repeat_last_n, history.size());
  for (TokenId id : std::set<TokenId>(history.end() - static_cast<std::ptrdiff_t>(last), history.end())) {
    float& l = adjusted[static_cast<std::size_t>(id)];
    l = l > 0 ? l / params.repeat_penalty : l * params.repeat_penalty;
  }
  std::map<TokenId, int> counts;
  for (std::size_t i = params.answer_begin; i < history.size(); ++i) ++counts[history[i]];
  for (const auto& [id, count] : counts)
    adjusted[static_cast<std::size_t>(id)] -=
        static_cast<float>(count) * params.frequency_penalty + params.presence_penalty;
  for (const LogitBias& bias : params.logit_bias) adjusted[static_cast<std::size_t>(bias.id)] += bias.bias;
  if (!params.greedy())
    for (float& value : adjusted) value /= params.temperature;
  return adjusted;
}

TokenId CandidateCase::brute_force_choice() const {
  const std::vector<float> y = brute_force_adjusted();
  std::vector<std::size_t> ids(y.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::sort(ids.begin(), ids.end(),
            [&](std::size_t a, std::size_t b) { return y[a] > y[b] || (y[a] == y[b] && a < b); });
  if (params.greedy()) return static_cast<TokenId>(ids.front());
  if (params.top_k != 0) ids.resize(std::min<std::size_t>(params.top_k, ids.size()));
  const auto weight = [&](std::size_t id) {
    return std::exp(static_cast<double>(y[id]) - static_cast<double>(y[ids[0]]));
  };
  double total = 0;
  for (std::size_t id : ids) total += weight(id);
  if (params.top_p < 1) {
    double mass = 0;
    std::size_t kept = 0;
    while (kept < ids.size() && (kept == 0 || mass < static_cast<double>(params.top_p) * total))
      mass += weight(ids[kept++]);
    ids.resize(kept);
  }
  std::size_t kept = 1;
  while (kept < ids.size() && weight(ids[kept]) >= static_cast<double>(params.min_p)) ++kept;
  ids.resize(kept);
  std::vector<float> noise(align_up(y.size(), 4));
  scalar_kernels().gumbel(params.seed, position() + 1, 0, noise.data(), noise.size());
  return static_cast<TokenId>(*std::max_element(ids.begin(), ids.end(), [&](std::size_t a, std::size_t b) {
    const float va = y[a] + noise[a], vb = y[b] + noise[b];
    return va < vb || (va == vb && a > b);
  }));
}

std::vector<float> random_logits(std::uint64_t seed, std::size_t count) {
  Random random(seed, "logits");
  std::vector<float> logits(count);
  for (float& logit : logits) logit = 2 * random.normal();
  for (int i = 0; i < 12; ++i) logits[random.below(count)] = random.uniform(6, 12);
  return logits;
}

}  // namespace shoal
