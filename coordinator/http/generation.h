#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/http/answer_envelope.h"
#include "coordinator/http/choice.h"
#include "coordinator/http/exchange.h"
#include "coordinator/inference.h"

namespace shoal {

// A client's generation request, ready for the cluster: one sequence for each answer.
struct GenerationPlan {
  struct Sequence {
    InferenceRequest request;
    std::unique_ptr<Choice> choice;
    bool counts_prompt = true;  // the first of the n answers to one prompt
  };
  AnswerEnvelope envelope;
  std::vector<Sequence> sequences;
  std::vector<TokenId> prompt_ids;  // chat with return_token_ids
};

// Runs one request: submits its sequences, turns their events into chunks or one whole answer, and cancels
// what runs when the client leaves or a part fails. It lives on the I/O thread; the cluster's thread only
// posts to it. The exchange keeps it alive until the answer is complete.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  static void run(GenerationPlan plan, std::shared_ptr<Exchange> exchange, InferenceService& service,
                  Executor io);

  Generation(GenerationPlan plan, std::shared_ptr<Exchange> exchange, InferenceService& service, Executor io);

 private:
  struct Run {
    std::optional<RequestId> id;
    std::uint32_t num_tokens = 0;
    bool finished = false;
    FinishReason reason = FinishReason::Stop;
  };

  void submit_all();
  InferenceSink make_sink(std::size_t which);
  void handle(std::size_t which, InferenceEvent event);
  void on_event(std::size_t which, const TokenEvent& event);
  void on_event(std::size_t which, const PromptTokenEvent& event);
  void on_event(std::size_t which, const FinishedEvent& event);
  void on_event(std::size_t which, const FailedEvent& event);
  void on_event(std::size_t which, const ProgressEvent& event);

  void open_stream();
  void send_news(std::size_t which);
  void send_chunk(std::size_t which, const std::string& chunk, bool is_token);
  void complete();
  void fail(const ApiError& error);
  void cancel_running();

  GenerationPlan plan_;
  std::shared_ptr<Exchange> exchange_;
  InferenceService& service_;
  Executor io_;
  std::vector<Run> runs_;
  AnswerTotals totals_;
  std::size_t num_finished_ = 0;
  bool stream_open_ = false;
  bool done_ = false;
  std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

}  // namespace shoal
