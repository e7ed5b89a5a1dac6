#pragma once

#include <optional>
#include <span>
#include <string>

#include "coordinator/http/json_writer.h"
#include "coordinator/inference.h"
#include "text/tokenizer.h"

namespace shoal {

// The logprobs object of /v1/completions: parallel arrays "tokens", "token_logprobs", "top_logprobs",
// "text_offset". A token that is not whole UTF-8 is written "bytes:\xe2\x80". As two tokens may share a text,
// with_ids adds "token_ids" and "top_logprob_ids", a list of [id, logprob] for each token. Arrays are written
// as events come, so that a long scored prompt costs no pause at the end.
class LegacyLogprobs {
 public:
  LegacyLogprobs(const Tokenizer& tokenizer, bool with_ids) : tokenizer_(tokenizer), with_ids_(with_ids) {}

  // `shown` is the token's part of the text, which text_offset (in characters) counts. No logprob: null, as
  // of a first token.
  void add(TokenId id, std::string_view shown, std::optional<float> logprob, std::span<const TokenTop> top);
  // What would have followed the last prompt token: "next_top_logprob_ids" beside the arrays (with_ids only).
  void set_next(std::span<const TokenTop> top);

  bool empty() const { return tokens_.empty() && next_top_.empty(); }
  // Writes the object and forgets its rows; offsets go on.
  void write_and_clear(JsonWriter& out);

 private:
  void add_top(TokenId id, float logprob, std::span<const TokenTop> top);
  std::string spelled(TokenId id) const;

  const Tokenizer& tokenizer_;
  bool with_ids_;
  TextStream stream_;
  std::size_t offset_ = 0;
  std::string tokens_, token_logprobs_, top_logprobs_, text_offsets_, token_ids_, top_ids_, next_top_;
};

}  // namespace shoal
