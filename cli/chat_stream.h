#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/http_client.h"

namespace shoal {

struct ChatTurn {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

struct ChatQuestion {
  std::vector<ChatTurn> turns;
  std::string model;                        // "" for the one that is served
  std::optional<std::uint32_t> max_tokens;  // else as many as there is room for
  // How tokens are drawn; where nothing is said, as the server thinks best.
  std::optional<double> temperature;
  std::optional<double> top_p;
  std::optional<std::uint32_t> top_k;
  std::optional<double> min_p;
  std::optional<double> repeat_penalty;
  std::optional<std::int64_t> seed;
};

struct ChatAnswer {
  std::string text;
  std::string finish_reason;       // "stop", "length"; "" where it was stopped
  std::uint64_t num_tokens = 0;    // as the server counted; pieces of text where it did not come to that
  double seconds_to_first = 0;     // from sending to the first text
  double seconds_after_first = 0;  // from the first text to the last
  bool stopped = false;            // by `stop`

  // Tokens after the first, over the time after the first; 0 where there is no second.
  double tokens_per_second() const;
};

// Asks a coordinator and hands over text as it comes. Blocks until the answer's end or `stop`. A failure in
// mid-answer is an error too, never a short answer. Errors: Unavailable; the server's own words for a
// refusal; OutOfMemory where the conversation is longer than the model's context.
Result<ChatAnswer> stream_chat(HttpClient& client, const ChatQuestion& question,
                               const std::function<void(std::string_view text)>& on_text,
                               const std::atomic<bool>* stop = nullptr);

// "42 tokens, 31.2 tok/s, first after 0.21 s"
std::string describe_speed(const ChatAnswer& answer);

}  // namespace shoal
