#pragma once

#include <cstdint>
#include <vector>

#include "base/ids.h"

namespace shoal {

inline constexpr std::uint32_t kHeadBlockRows = 1024;  // vocabulary rows per head block; 64 panels
// So that all candidates of one row, the whole vocabulary in each of its lists, fit one message.
inline constexpr std::uint32_t kMaxHeadBlocks = 512;
inline constexpr std::uint32_t kMaxVocabSize = kMaxHeadBlocks * kHeadBlockRows;
inline constexpr std::uint32_t kMaxLogitBias = 300;
inline constexpr std::uint32_t kMaxTopLogprobs = 400;

struct LogitBias {
  TokenId id = 0;
  float bias = 0;
  friend bool operator==(const LogitBias&, const LogitBias&) = default;
};

// How one request's tokens are chosen (docs/ARITHMETIC.md, "Choosing a token"). Travels once to the head's
// holder.
struct SamplingParams {
  float temperature = 1.0f;     // 0: greedy
  std::uint32_t top_k = 0;      // 0: off
  float top_p = 1.0f;           // 1: off
  float min_p = 0.0f;           // 0: off
  float repeat_penalty = 1.0f;  // 1: off
  std::uint32_t repeat_last_n = 64;
  float presence_penalty = 0;
  float frequency_penalty = 0;
  std::uint64_t seed = 0;
  std::uint32_t top_logprobs = 0;  // how many best raw logits are wanted beside the choice
  std::uint32_t answer_begin = 0;  // position of the first answer token: the prompt's length
  std::vector<LogitBias> logit_bias;

  bool greedy() const { return temperature == 0; }
  bool truncated() const { return top_k != 0 || top_p < 1.0f || min_p > 0.0f; }
  bool adjusts() const {
    return repeat_penalty != 1.0f || presence_penalty != 0 || frequency_penalty != 0 || !logit_bias.empty();
  }
  friend bool operator==(const SamplingParams&, const SamplingParams&) = default;
};

struct Candidate {
  TokenId id = 0;
  float logit = 0;     // raw
  float adjusted = 0;  // after penalties and bias, divided by temperature (by 1 when greedy)
  float noise = 0;     // Gumbel, 0 when greedy
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

// (max, sum of exp(x - max)) of one block of 1,024 vocabulary rows.
struct BlockSum {
  float max = 0;
  float sum = 0;
  friend bool operator==(const BlockSum&, const BlockSum&) = default;
};

// What the holder of head blocks [first_block, first_block + raw.size()) says about the token after one row.
// Lists are sorted best first, lower id first on ties.
struct CandidateRow {
  SequenceId sequence{};
  StepNumber step{};
  std::uint32_t position = 0;  // of the row; the token chosen stands at position + 1
  std::uint32_t first_block = 0;
  std::vector<BlockSum> raw;           // of the raw logits
  std::vector<BlockSum> adjusted;      // of `Candidate::adjusted`; empty when greedy
  std::vector<std::uint64_t> digests;  // per block, when asked for
  std::vector<Candidate> by_raw;       // top_logprobs best raw logits
  std::vector<Candidate> by_adjusted;  // greedy: the best; truncated: the best `depth`
  std::vector<Candidate> by_noise;     // untruncated sampling: the best by adjusted + noise
  float target_logit = 0;              // raw logit of the known next token, if has_target
  bool has_target = false;             // false also where another slice holds the target
  friend bool operator==(const CandidateRow&, const CandidateRow&) = default;
};

}  // namespace shoal
