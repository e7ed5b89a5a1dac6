#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "base/sampling.h"

namespace shoal {

// What an HTTP request becomes for the scheduler. Made on an HTTP thread (template and tokenizer have run),
// moved to the reactor.
struct InferenceRequest {
  std::vector<TokenId> prompt;
  SamplingParams sampling;  // answer_begin and a drawn seed are filled in by the cluster
  bool has_seed = false;
  std::uint32_t max_tokens = 0;   // of the answer; 0: score the prompt only
  std::vector<std::string> stop;  // not echoed; may straddle tokens
  bool ignore_end = false;        // go on past end-of-text tokens
  bool echo_logprobs = false;     // per prompt row: logprob of the next prompt token, and top_logprobs best
  bool digest = false;            // a hash of every prompt row's logits, in Finished
};

struct TokenTop {
  TokenId id = 0;
  float logprob = 0;
};

// One token of the answer (or of an echoed prompt). `text` is whole UTF-8 characters and may be empty while
// bytes or a possible stop string wait; the texts of all events joined are the answer.
struct TokenEvent {
  TokenId id = 0;
  std::uint32_t index = 0;  // in the answer
  std::string text;
  float logprob = 0;
  std::vector<TokenTop> top;
};
struct PromptTokenEvent {  // echo: row i judged token i+1
  std::uint32_t row = 0;
  bool has_logprob = false;  // false in the last row, where nothing follows
  float logprob = 0;         // of prompt[row + 1]
  std::vector<TokenTop> top;
};

enum class FinishReason : std::uint8_t { Stop, Length };

struct FinishedEvent {
  FinishReason reason = FinishReason::Stop;
  std::string text;  // what still waited
  std::uint32_t prompt_tokens = 0;
  std::uint32_t completion_tokens = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  std::string digest;  // 32 hex digits when asked for
};
// The request ends without its answer. Never after FinishedEvent.
struct FailedEvent {
  ErrorCode code = ErrorCode::Unavailable;  // InvalidArgument -> 400, Unavailable/OutOfMemory -> 503, ...
  std::string message;
  std::string api_code;  // "context_length_exceeded", "insufficient_capacity", ...
};
// Bytes of life for a client that waits: how much of the prompt is prefilled, or that a device was lost and
// the answer is being rebuilt.
struct ProgressEvent {
  enum class Kind : std::uint8_t { Queued, Prefill, Recovering } kind = Kind::Queued;
  std::uint32_t done = 0;
  std::uint32_t total = 0;
};

using InferenceEvent = std::variant<TokenEvent, PromptTokenEvent, FinishedEvent, FailedEvent, ProgressEvent>;

// Called on the reactor thread; must not block (it posts to the HTTP thread). After FinishedEvent or
// FailedEvent no more come.
using InferenceSink = std::function<void(InferenceEvent)>;

using RequestId = std::uint64_t;

// The door between HTTP threads and the cluster. All calls from any thread; none blocks for longer than a
// lock-free hand-over.
class InferenceService {
 public:
  virtual ~InferenceService() = default;

  // Unavailable when the door's queue is full. Everything later comes through the sink.
  virtual Result<RequestId> submit(InferenceRequest request, InferenceSink sink) = 0;
  virtual void cancel(RequestId id) = 0;  // the slot is free within one step; unknown ids are ignored

  // Snapshots, refreshed by the reactor at least every 100 ms.
  struct Health {
    bool ready = false;  // a token can really flow
    std::string
        state;  // "starting", "waiting_for_devices", "loading", "ready", "recovering", "insufficient_memory"
    std::string detail;   // the reason in words
    double progress = 0;  // 0..1 while loading
  };
  virtual Health health() const = 0;
  virtual std::string cluster_json() const = 0;   // GET /api/cluster
  virtual std::uint32_t max_context() const = 0;  // positions a request may have (prompt + answer)
};

}  // namespace shoal
