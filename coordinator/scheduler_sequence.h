#pragma once

#include "coordinator/scheduler.h"
#include "model/digest.h"

namespace shoal {

// One request on its way. `tokens` is the log everything can be rebuilt from: prompt and answer.
struct Scheduler::Sequence {
  enum class State { Waiting, Running };
  // Devices die of many things, and most sequences that were with them are innocent: three in a row with no
  // token between are a reason to look closer, eight to end it.
  static constexpr std::uint32_t kAccusedAfterDeaths = 3;
  static constexpr std::uint32_t kMostDeaths = 8;

  Sequence(SequenceId sequence_id, RequestId client_id, InferenceRequest r)
      : id(sequence_id), request_id(client_id), request(std::move(r)), text(request.stop) {
    tokens = request.prompt;
    prompt_size = static_cast<std::uint32_t>(tokens.size());
  }

  SequenceId id;
  RequestId request_id;
  InferenceRequest request;
  State state = State::Waiting;
  bool was_parked = false;

  std::vector<TokenId> tokens;
  std::uint32_t prompt_size = 0;
  std::uint32_t sent = 0;          // positions [0, sent) are in the pipeline
  StepNumber last_step{0};         // never reused, whatever the epoch
  bool known_to_pipeline = false;  // some step of it was sent under this epoch
  bool announce = true;            // the next group carries the sampling parameters
  bool awaits_choice = false;      // its last position is sent and not judged
  std::uint32_t depth = 1;         // how many candidates a row brings back
  std::uint32_t alone_until =
      0;  // positions before it are sent in steps of their own: one of them could not be computed
  std::uint32_t refusals = 0;  // of steps it had for itself
  std::uint32_t deaths = 0;    // of devices that worked on it, since its last token
  std::vector<std::uint32_t> kv_held;

  AnswerText text;
  std::uint32_t rows_reported = 0;  // echo: prompt rows whose judgement the client has
  LogitsDigest digest;
  Time submitted_at{};
  Time first_token_at{};
  Time first_sent_at{};             // its first rows left; never, if they are rows of a replay
  bool has_pipeline_alone = false;  // no other sequence ran since then

  std::uint32_t size() const { return static_cast<std::uint32_t>(tokens.size()); }
  std::uint32_t answered() const { return size() - prompt_size; }
  bool wants_prompt_rows() const { return request.echo_logprobs || request.digest; }
  bool decodes() const { return size() > prompt_size && sent + 1 >= size(); }
  bool is_due() const { return state == State::Running && sent < size(); }
  bool is_suspect() const { return sent < alone_until; }
  bool is_accused() const { return deaths >= kAccusedAfterDeaths; }
  // Candidates that one wanted row brings back at most.
  std::uint32_t candidates_per_row() const { return depth + request.sampling.top_logprobs + 1; }
};

}  // namespace shoal
