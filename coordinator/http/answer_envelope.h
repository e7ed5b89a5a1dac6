#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "coordinator/inference.h"

namespace shoal {

enum class ApiKind : std::uint8_t { Chat, Completion };

// Tokens and seconds of a whole request: its prompts once each, its answers all.
struct AnswerTotals {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  double prefill_seconds = 0;
  std::uint64_t decoded_tokens = 0;  // those that `decode_seconds` made: without each choice's first
  double decode_seconds = 0;
};

// What stands around the choices: {"id", "object", "created", "model", "system_fingerprint", "choices"...}.
// The same for every chunk of a stream.
struct AnswerEnvelope {
  ApiKind api = ApiKind::Chat;
  bool streamed = false;
  bool include_usage = false;  // of a stream: "usage" stands in every chunk, null but in the last
  std::string id;
  std::int64_t created = 0;  // Unix seconds
  std::string model;
  std::string fingerprint;

  // A stream's chunk around one choice object; `totals` adds "timings" to the chunk that ends the last
  // answer.
  std::string chunk(const std::string& choice, const AnswerTotals* totals = nullptr) const;
  // The first chunk of a chat, which may carry the prompt's ids.
  std::string opening_chunk(const std::string& choice, std::span<const TokenId> prompt_ids) const;
  std::string usage_chunk(const AnswerTotals& totals) const;
  std::string whole(const std::vector<std::string>& choices, const AnswerTotals& totals,
                    std::span<const TokenId> prompt_ids) const;
};

// "chatcmpl-" or "cmpl-" and 24 random characters.
std::string make_answer_id(ApiKind api);
std::int64_t unix_seconds();  // the wall clock, for display only

// One server-sent event. `id` empty: no id line.
std::string sse_event(std::string_view id, std::string_view data);
// A line clients ignore: a sign of life.
std::string sse_comment(std::string_view text);

}  // namespace shoal
