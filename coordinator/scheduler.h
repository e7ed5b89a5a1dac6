#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "coordinator/answer.h"
#include "coordinator/inference.h"
#include "coordinator/kv_ledger.h"
#include "coordinator/service_meter.h"
#include "model/kv_budget.h"
#include "model/model_config.h"
#include "transport/messages.h"

namespace shoal {

struct SchedulerOptions {
  std::uint32_t max_context = 2048;       // positions of one request: prompt and answer
  std::uint32_t prefill_chunk = 256;      // rows of one prefill step when nothing else runs
  std::uint32_t busy_prefill_chunk = 96;  // while others decode: bounds what a prompt adds to their step
  std::uint32_t max_queue = 512;          // requests that may wait
};

// The pipeline that steps go to. Everything scheduled under an earlier epoch is rebuilt from the token log.
struct PipelineShape {
  Epoch epoch{};
  PipelineId pipeline{};
  std::uint32_t num_stages = 1;
  std::uint32_t max_rows = 0;
  std::uint32_t max_sequences = 0;
  KvBudget kv;
  double predicted_step_seconds = 0;  // one row's round, until steps were measured; 0: unknown
};

// Many requests at once over one pipeline: admits a request when its KV blocks are free, cuts prompts into
// chunks, lets rows of many sequences share a step, keeps several micro-batches in flight, and turns the
// candidates that come back into tokens. When KV runs out the youngest request is parked: its blocks are
// freed, its tokens kept, and it is replayed later to the same bits. The same replay carries every request
// over a change of epoch. Pure: time is handed in, steps and events are handed out.
class Scheduler {
 public:
  using Events = std::vector<std::pair<RequestId, InferenceEvent>>;

  Scheduler(SchedulerOptions options, const ModelConfig& config, const TokenText& text);
  ~Scheduler();

  // From now on steps go to this pipeline; running requests start over from their tokens.
  void start_epoch(const PipelineShape& shape);
  // The pipeline broke: nothing is sent until start_epoch. Requests wait.
  void stop_epoch();

  // `request.sampling.seed` is drawn already. Failures come as events too.
  void submit(RequestId id, InferenceRequest request, Time now);
  void cancel(RequestId id);
  void fail_all(const FailedEvent& reason);

  // The next micro-batch for stage 0, if one is due. Call until it is empty.
  std::optional<StepFrame> next_step(Time now);
  // Judges a step's answer. Errors: StaleEpoch; InvalidArgument: it answers nothing in flight (late,
  // doubled): ignore it; Corrupt: it does not answer what was asked, and the step stays in flight.
  Status on_candidates(CandidatesFrame frame, Time now);
  // Steps unanswered past their deadline, to be sent again as they were. Their deadline doubles.
  std::vector<StepFrame> take_overdue(Time now);
  // A stage misses a step (a connection broke under it): everything unanswered, in order, to be sent again as
  // it was. Empty while the last such repeat is still on its way.
  std::vector<StepFrame> take_unanswered(Time now);
  // When the newest of the steps that were answered was sent.
  Time newest_answered() const { return newest_answered_; }
  // Some step is under way.
  bool is_busy() const { return !in_flight_.empty(); }
  // When the last step left, or came back.
  Time last_active() const { return last_active_; }
  // What requests met since the epoch began.
  const ServiceMeter& meter() const { return meter_; }
  // Positions that running sequences hold in the pipeline: what another plan would have to compute again.
  std::uint64_t positions_held() const;
  // The hub itself was asleep for this long: answers may lie unread, so no step is late by it.
  void forgive(Duration asleep);
  // How often the step that waits longest was repeated: the cluster gives up on the epoch at some point.
  std::uint32_t most_repeats() const;
  // A stage could not compute this step. If several sequences shared it, the one to blame is not known: from
  // now on each of them goes alone past these positions, so that a next refusal names it. A sequence refused
  // alone twice ends with the reason; the others go on.
  void blame(SequenceId sequence, StepNumber step, const FailedEvent& reason);
  // A device died while it worked on what is in flight; before stop_epoch(). A sequence under which devices
  // die again and again without a token between goes with nothing else in flight, so that a next death names
  // it, and ends with a reason at last; the others go on.
  void device_died();

  Events take_events() { return std::exchange(events_, {}); }

  struct Counts {
    std::uint32_t queued = 0;
    std::uint32_t running = 0;
    std::uint32_t parked = 0;
    std::uint32_t steps_in_flight = 0;
    std::uint64_t tokens = 0;  // answered since start
    std::uint64_t finished = 0;
    std::uint64_t failed = 0;
    std::vector<std::uint32_t> free_kv_blocks;
    double step_seconds = 0;  // moving average of a decode step's round
  };
  Counts counts() const;

 private:
  struct Sequence;
  struct InFlight {
    StepFrame frame;  // as sent; stage 0 takes no payload
    Time sent_at{};
    Time deadline{};
    Duration patience{};
    std::uint32_t repeats = 0;
    bool is_decode = false;
    bool is_alone = true;                   // nothing else was in flight with it
    std::optional<CandidatesFrame> answer;  // held back: an earlier step's comes first
  };

  // Admission.
  std::optional<FailedEvent> obstacle(const InferenceRequest& request) const;
  void admit_waiting();
  bool grow(Sequence& sequence);
  void park(Sequence& sequence);
  bool make_room_for(Sequence& sequence, StepFrame& frame);
  bool close_is_pending(SequenceId id) const;
  void release(Sequence& sequence);

  // Building a step.
  std::uint32_t num_decoding() const;
  std::uint32_t decode_share() const;
  std::uint32_t fill(StepFrame& frame);
  bool is_free_to_go(const Sequence& sequence, const StepFrame& frame) const;
  Sequence* find_accused();
  Sequence* next_suspect(const StepFrame& frame);
  void add_alone(StepFrame& frame, Sequence& sequence);
  bool may_join(const Sequence& sequence, const StepFrame& frame) const;
  std::uint32_t candidate_room(const StepFrame& frame) const;
  void add_closes(StepFrame& frame);
  void add_decodes(StepFrame& frame);
  void add_prefills(StepFrame& frame, bool beside_decode);
  void add_group(StepFrame& frame, Sequence& sequence, std::uint32_t rows);
  std::uint32_t rows_of_next_group(const Sequence& sequence, std::uint32_t budget, std::uint32_t room) const;
  Duration patience_for(const StepFrame& frame) const;
  static StepFrame repeat(InFlight& step, Time now);

  void note_departure(const StepFrame& frame, Time now);

  // Judging an answer.
  ServiceMeter::Step measured(const InFlight& step, Time now) const;
  Status check_answer(const InFlight& step, const CandidatesFrame& frame) const;
  std::deque<InFlight>::iterator next_to_judge();
  void judge(CandidatesFrame answer, Time now);
  void judge_row(CandidateRow row, Time now);
  void report_prompt_row(Sequence& sequence, const CandidateRow& row);
  void choose(Sequence& sequence, const CandidateRow& row, Time now);
  void note_first_token(Sequence& sequence, Time now);
  void finish(Sequence& sequence, FinishReason reason, Time now);
  void fail_sequence(Sequence& sequence, const FailedEvent& reason);
  void end(Sequence& sequence);
  void emit(const Sequence& sequence, InferenceEvent event);
  Sequence* find(SequenceId id);

  SchedulerOptions options_;
  ModelConfig config_;
  const TokenText& text_;
  std::vector<KvKind> kinds_;
  std::optional<PipelineShape> shape_;
  KvLedger kv_;

  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;  // ids rise, so in order of arrival
  std::map<RequestId, SequenceId> by_request_;
  // What ended, to be told to every stage with the next step; its blocks are free from then on.
  struct Close {
    RowGroup group;
    std::vector<std::uint32_t> kv_held;
  };
  std::vector<Close> closes_;
  std::deque<InFlight> in_flight_;
  Time repeated_all_at_{};
  Time newest_answered_{};
  Time last_active_{};
  ServiceMeter meter_;
  SequenceId last_sequence_{0};
  SequenceId last_decoded_{0};    // decode turns go round
  std::vector<Sequence*> turns_;  // of the step that is being built; kept for its memory
  Events events_;
  Counts counts_;
  double seconds_per_row_ = 0;  // moving average over prefill steps
};

}  // namespace shoal
