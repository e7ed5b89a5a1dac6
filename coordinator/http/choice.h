#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "coordinator/inference.h"
#include "text/tokenizer.h"

namespace shoal {

// What the client asked to see of each answer.
struct ChoiceOptions {
  bool streamed = false;
  bool wants_logprobs = false;
  bool return_token_ids = false;
  bool echo = false;       // completions: the prompt stands before the answer
  bool added_bos = false;  // completions: the prompt's first id was ours, and is not part of the echoed text
};

// One answer of a request ("choices[i]"), from events to JSON. It holds what has come and was not yet sent: a
// stream takes it after every event, a whole answer once at the end. One thread at a time.
class Choice {
 public:
  virtual ~Choice() = default;

  virtual void add(const PromptTokenEvent& event) = 0;
  virtual void add(const TokenEvent& event) = 0;
  virtual void add_rest(const FinishedEvent& event) = 0;  // the text that still waited
  virtual bool has_news() const = 0;

  // A stream's first choice object, before any token; empty: this API has none.
  virtual std::string opening() const = 0;
  // The choice object with all that has come since the last take.
  virtual std::string take(std::optional<FinishReason> finish) = 0;
};

// "delta" or "message" of chat.completion. `tokenizer` outlives it.
std::unique_ptr<Choice> make_chat_choice(std::uint32_t index, const ChoiceOptions& options,
                                         const Tokenizer& tokenizer);
// "text" of text_completion, with the legacy logprobs object. `echo_text` is what stands before the answer
// when no logprobs are asked.
std::unique_ptr<Choice> make_completion_choice(std::uint32_t index, const ChoiceOptions& options,
                                               const Tokenizer& tokenizer, std::span<const TokenId> prompt,
                                               std::string echo_text);

const char* name_of(FinishReason reason);
// Comma-separated JSON values, as the middle of an array.
std::string& next_item(std::string& list);
void append_ids(std::string& list, std::span<const TokenId> ids);

}  // namespace shoal
