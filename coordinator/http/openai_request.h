#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/sampling.h"
#include "coordinator/http/api_error.h"
#include "coordinator/http/json_value.h"
#include "text/chat_template.h"

namespace shoal {

// What the client may count on, against which a request is judged.
struct RequestLimits {
  std::string_view model_id;
  std::size_t vocab_size = 0;
};

inline constexpr std::size_t kMaxStopStrings = 4;
inline constexpr std::size_t kMaxStopBytes = 512;
inline constexpr std::size_t kMaxPromptsTimesN = 64;  // sequences one request may start
inline constexpr std::size_t kMaxMessages = 4096;

// What both generation endpoints have in common.
struct AnswerOptions {
  SamplingParams sampling;
  bool has_seed = false;
  std::optional<std::uint32_t> max_tokens;
  std::vector<std::string> stop;
  std::uint32_t n = 1;
  bool stream = false;
  bool include_usage = false;
  bool wants_logprobs = false;    // sampling.top_logprobs says how many alternatives
  bool return_token_ids = false;  // extension
  bool ignore_end = false;        // "ignore_eos", extension
  bool digest = false;            // "logits_digest", extension
};

struct ChatRequest {
  std::vector<ChatMessage> messages;  // "developer" has become "system", text parts are joined
  std::string
      template_kwargs;  // "chat_template_kwargs", extension: a JSON object for the template; empty: none
  AnswerOptions options;
};

using PromptInput = std::variant<std::string, std::vector<TokenId>>;
struct CompletionRequest {
  std::vector<PromptInput> prompts;
  bool echo = false;
  bool parse_special = true;  // extension: control tokens written in a text prompt become their ids
  AnswerOptions options;
};

template <typename T>
using Parsed = std::variant<T, ApiError>;

// From a request's body. Unknown fields are ignored; known ones are held to their types and bounds. Pure, any
// thread.
Parsed<ChatRequest> parse_chat_request(const JsonValue& body, const RequestLimits& limits);
Parsed<CompletionRequest> parse_completion_request(const JsonValue& body, const RequestLimits& limits);

// A list of ids within the vocabulary; `param` names it in errors.
Parsed<std::vector<TokenId>> parse_token_ids(const JsonValue& list, std::string_view param,
                                             std::size_t vocab_size);

}  // namespace shoal
