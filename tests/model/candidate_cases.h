#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "model/sampler.h"

namespace shoal {

// A row of logits with what a choice depends on.
struct CandidateCase {
  std::vector<float> logits;  // of the whole vocabulary
  std::vector<TokenId> history;
  SamplingParams params;
  TokenId target = -1;

  std::uint32_t vocab_size() const { return static_cast<std::uint32_t>(logits.size()); }
  std::uint32_t position() const { return static_cast<std::uint32_t>(history.size()) - 1; }

  // What the holder of head blocks `blocks` returns. depth 0: candidate_depth.
  CandidateRow slice(Range blocks, std::uint32_t depth = 0) const;
  // What holders of the blocks between these bounds return, merged.
  CandidateRow merged(std::span<const std::uint32_t> bounds, std::uint32_t depth = 0) const;
  CandidateRow whole(std::uint32_t depth = 0) const;
  // The choice as the hub makes it: from the ordinary depth, else from the whole vocabulary.
  ChosenToken choose(std::span<const std::uint32_t> bounds) const;

  // The definition of docs/ARITHMETIC.md over the whole vocabulary at once, masses in f64.
  TokenId brute_force_choice() const;
  std::vector<float> brute_force_adjusted() const;  // divided by the temperature
};

// Logits of a bell shape with a few high ones.
std::vector<float> random_logits(std::uint64_t seed, std::size_t count);

}  // namespace shoal
