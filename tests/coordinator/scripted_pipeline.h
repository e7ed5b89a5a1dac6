#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "coordinator/scheduler.h"
#include "model/kv_cache.h"
#include "worker/step_window.h"

namespace shoal {

ModelConfig scripted_config(
    std::uint32_t window = 0);  // two layers, one of them with the window if there is one

// Each id is a letter; 'z' ends a text.
const TokenText& letters();
inline constexpr TokenId kEndOfText = 'z';

// The rest of the cluster as a scheduler sees it: takes its steps in order, keeps the accounts that a stage
// keeps (its own StepWindow, a real KvCache of the promised size), and answers when told to. What the model
// says is a function of all tokens before.
class ScriptedPipeline {
 public:
  ScriptedPipeline(Scheduler& scheduler, const ModelConfig& config, const PipelineShape& shape);

  // Takes every step that is due; returns how many.
  std::size_t take_steps();
  // Answers the oldest untold step. False if there is none.
  bool answer_one();
  void lose_one();
  // What the model says to the oldest step that was taken and not answered, computed when it was taken.
  const CandidatesFrame& oldest_answer() const { return answers_.front(); }
  // Until nothing moves any more.
  void run();
  void restart(const PipelineShape& shape);  // a new epoch: all is forgotten

  const std::deque<StepFrame>& taken() const { return taken_; }
  const std::vector<StepFrame>& history() const { return history_; }
  const std::string& faults() const { return faults_; }  // broken promises, in words
  std::uint32_t held(SequenceId sequence) const { return kv_->length(sequence); }
  std::vector<std::uint32_t> free_blocks() const { return kv_->free_blocks(); }
  void collect();

  std::map<RequestId, std::vector<InferenceEvent>> events;
  Time now{std::chrono::seconds(1)};
  Duration step_time = std::chrono::milliseconds(10);

 private:
  void take(const StepFrame& frame);
  CandidatesFrame run_step(const StepFrame& frame) const;
  void fault(const std::string& what);

  Scheduler& scheduler_;
  ModelConfig config_;
  PipelineShape shape_;
  std::optional<KvCache> kv_;
  std::map<SequenceId, std::vector<TokenId>> tokens_;
  StepWindow window_;
  std::map<SequenceId, SequenceOpen> opens_;
  std::deque<StepFrame> taken_;          // not answered
  std::deque<CandidatesFrame> answers_;  // to these
  std::vector<StepFrame> history_;
  std::string faults_;
};

// What the scripted model says after these tokens.
TokenId scripted_token(const std::vector<TokenId>& tokens, std::uint64_t seed);
std::string scripted_answer(std::vector<TokenId> prompt, std::uint64_t seed, std::uint32_t max_tokens);

InferenceRequest scripted_request(const std::string& prompt, std::uint32_t max_tokens,
                                  std::uint64_t seed = 1);
PipelineShape scripted_shape(const ModelConfig& config, std::uint32_t blocks, std::uint32_t epoch = 1);

std::string text_of(const std::vector<InferenceEvent>& events);
const FinishedEvent* finish_of(const std::vector<InferenceEvent>& events);
const FailedEvent* failure_of(const std::vector<InferenceEvent>& events);

}  // namespace shoal
