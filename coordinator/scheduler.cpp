#include "coordinator/scheduler.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/scheduler_sequence.h"
#include "model/sampler.h"
#include "transport/bounds.h"

namespace shoal {

Scheduler::Scheduler(SchedulerOptions options, const ModelConfig& config, const TokenText& text)
    : options_(options), config_(config), text_(text), kinds_(kv_kinds(config)) {}
Scheduler::~Scheduler() = default;

void Scheduler::emit(const Sequence& sequence, InferenceEvent event) {
  events_.emplace_back(sequence.request_id, std::move(event));
}

Scheduler::Sequence* Scheduler::find(SequenceId id) {
  const auto found = sequences_.find(id);
  return found == sequences_.end() ? nullptr : found->second.get();
}

// ---- Epochs
// ---------------------------------------------------------------------------------------------------------------------

void Scheduler::stop_epoch() {
  shape_.reset();
  in_flight_.clear();
  closes_.clear();
  for (auto& [id, sequence] : sequences_) {
    if (sequence->state != Sequence::State::Running) continue;
    sequence->state = Sequence::State::Waiting;
    sequence->was_parked = true;
    sequence->kv_held.clear();
    emit(*sequence, ProgressEvent{ProgressEvent::Kind::Recovering, 0, sequence->size()});
  }
}

void Scheduler::start_epoch(const PipelineShape& shape) {
  stop_epoch();
  shape_ = shape;
  meter_.clear();
  kv_.reset(shape.kv);
  for (auto& [id, sequence] : sequences_) {
    sequence->sent = 0;
    sequence->known_to_pipeline = false;
    sequence->announce = true;
    sequence->awaits_choice = false;
    sequence->first_sent_at = {};
    sequence->kv_held.clear();
  }
  admit_waiting();
}

// ---- Requests
// -------------------------------------------------------------------------------------------------------------------

namespace {

FailedEvent refusal(ErrorCode code, std::string message, const char* api_code) {
  return {code, std::move(message), api_code};
}

// What the wire would not carry or a worker could not use; empty if nothing. The door in front says it
// better: this one keeps a pipeline that serves others from choking on it.
std::string bad_values(const InferenceRequest& request, std::uint32_t vocab_size) {
  const auto outside = [&](TokenId id) { return id < 0 || static_cast<std::uint32_t>(id) >= vocab_size; };
  for (const TokenId id : request.prompt) {
    if (outside(id))
      return "token " + std::to_string(id) + " is outside the vocabulary of " + std::to_string(vocab_size);
  }
  for (const LogitBias& entry : request.sampling.logit_bias) {
    if (outside(entry.id))
      return "logit_bias names token " + std::to_string(entry.id) + ", which is outside the vocabulary";
  }
  StepFrame frame;
  frame.groups = {RowGroup{.num_rows = 1}};
  frame.ids = {0};
  frame.opens = {SequenceOpen{
      .sequence = {}, .depth = candidate_depth(request.sampling, vocab_size), .params = request.sampling}};
  const char* wrong = out_of_bounds(Message(std::move(frame)));
  return wrong ? wrong : "";
}

}  // namespace

// Why this request is not taken; nothing if it is.
std::optional<FailedEvent> Scheduler::obstacle(const InferenceRequest& request) const {
  const std::size_t size = request.prompt.size();
  if (size == 0) return refusal(ErrorCode::InvalidArgument, "the prompt has no tokens", "empty_prompt");
  const std::uint32_t max_context = options_.max_context;
  if (size > max_context || (request.max_tokens > 0 && size == max_context)) {
    return refusal(ErrorCode::InvalidArgument,
                   "the prompt has " + std::to_string(size) + " tokens and asks for " +
                       std::to_string(request.max_tokens) + " more; the context holds " +
                       std::to_string(max_context),
                   "context_length_exceeded");
  }
  if (std::string bad = bad_values(request, config_.vocab_size); !bad.empty()) {
    return refusal(ErrorCode::InvalidArgument, std::move(bad), "invalid_value");
  }
  const auto waiting = std::ranges::count_if(
      sequences_, [](const auto& s) { return s.second->state == Sequence::State::Waiting; });
  if (waiting < static_cast<std::ptrdiff_t>(options_.max_queue)) return std::nullopt;
  return refusal(ErrorCode::Unavailable, std::to_string(waiting) + " requests wait already: try again later",
                 "queue_full");
}

void Scheduler::submit(RequestId id, InferenceRequest request, Time now) {
  if (std::optional<FailedEvent> refused = obstacle(request)) {
    ++counts_.failed;
    events_.emplace_back(id, *std::move(refused));
    return;
  }
  request.sampling.answer_begin = static_cast<std::uint32_t>(request.prompt.size());
  last_sequence_ = next(last_sequence_);
  auto sequence = std::make_unique<Sequence>(last_sequence_, id, std::move(request));
  sequence->submitted_at = now;
  sequence->depth = candidate_depth(sequence->request.sampling, config_.vocab_size);
  by_request_[id] = last_sequence_;
  sequences_.emplace(last_sequence_, std::move(sequence));
  admit_waiting();
}

void Scheduler::cancel(RequestId id) {
  const auto found = by_request_.find(id);
  if (found == by_request_.end()) return;
  if (Sequence* sequence = find(found->second)) end(*sequence);
}

void Scheduler::fail_all(const FailedEvent& reason) {
  while (!sequences_.empty()) fail_sequence(*sequences_.begin()->second, reason);
}

void Scheduler::fail_sequence(Sequence& sequence, const FailedEvent& reason) {
  emit(sequence, reason);
  ++counts_.failed;
  end(sequence);
}

void Scheduler::blame(SequenceId id, StepNumber step, const FailedEvent& reason) {
  constexpr std::uint32_t kMostRefusals =
      2;  // bits do not change from try to try; one more for what is not arithmetic
  const auto names_it = [&](const RowGroup& group) { return group.sequence == id && group.step == step; };
  const auto refused = std::ranges::find_if(
      in_flight_, [&](const InFlight& s) { return std::ranges::any_of(s.frame.groups, names_it); });
  if (refused == in_flight_.end()) return;
  std::vector<RowGroup> with_rows;
  std::ranges::copy_if(refused->frame.groups, std::back_inserter(with_rows),
                       [](const RowGroup& g) { return g.num_rows > 0; });
  for (const RowGroup& group : with_rows) {
    Sequence* sequence = find(group.sequence);
    if (!sequence) continue;
    sequence->alone_until = std::max(sequence->alone_until, group.first_position + group.num_rows);
    if (with_rows.size() == 1 && ++sequence->refusals >= kMostRefusals) fail_sequence(*sequence, reason);
  }
}

void Scheduler::device_died() {
  std::set<SequenceId> with_it;
  for (const InFlight& step : in_flight_) {
    for (const RowGroup& group : step.frame.groups) {
      if (!step.answer && group.num_rows > 0) with_it.insert(group.sequence);
    }
  }
  for (const SequenceId id : with_it) {
    Sequence* sequence = find(id);
    if (!sequence || ++sequence->deaths < Sequence::kMostDeaths) continue;
    fail_sequence(*sequence, {ErrorCode::Internal,
                              "devices died " + std::to_string(sequence->deaths) +
                                  " times in a row while they worked on this request, without a token in "
                                  "between: it is given up so that it takes no more of them",
                              "devices_died"});
  }
}

// Frees what the pipeline holds of it and forgets it.
void Scheduler::end(Sequence& sequence) {
  release(sequence);
  by_request_.erase(sequence.request_id);
  sequences_.erase(sequence.id);
}

// ---- KV admission
// ---------------------------------------------------------------------------------------------------------------

namespace {

std::vector<std::uint32_t> blocks_for(const std::vector<KvKind>& kinds, std::uint32_t length,
                                      std::uint32_t chunk) {
  std::vector<std::uint32_t> blocks;
  for (const KvKind& kind : kinds) blocks.push_back(most_kv_blocks_until(kind, length, chunk));
  return blocks;
}

}  // namespace

void Scheduler::admit_waiting() {
  if (!shape_) return;
  std::uint32_t running = 0;
  for (const auto& [id, sequence] : sequences_) running += sequence->state == Sequence::State::Running;
  for (auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::Running) continue;
    if (running >= shape_->max_sequences || !grow(*sequence))
      return;  // in order of arrival: nobody overtakes
    sequence->state = Sequence::State::Running;
    ++running;
  }
}

// Reserves the blocks that its tokens and one more will need.
bool Scheduler::grow(Sequence& sequence) {
  const std::uint32_t length = std::min(sequence.size() + 1, options_.max_context);
  const std::uint32_t chunk = std::min(std::max(options_.prefill_chunk, 1u), shape_->max_rows);
  return kv_.raise(sequence.kv_held, blocks_for(kinds_, length, chunk));
}

void Scheduler::release(Sequence& sequence) {
  if (sequence.known_to_pipeline && shape_) {
    sequence.last_step = next(sequence.last_step);
    closes_.push_back({{.sequence = sequence.id, .step = sequence.last_step, .flags = kCloses},
                       std::move(sequence.kv_held)});
  } else {
    kv_.give_back(sequence.kv_held);
  }
  sequence.kv_held.clear();
  sequence.known_to_pipeline = false;
}

void Scheduler::park(Sequence& sequence) {
  release(sequence);
  sequence.state = Sequence::State::Waiting;
  sequence.was_parked = true;
  sequence.sent = 0;
  sequence.announce = true;
  sequence.awaits_choice = false;
}

std::uint64_t Scheduler::positions_held() const {
  std::uint64_t held = 0;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::Running) held += sequence->sent;
  }
  return held;
}

Scheduler::Counts Scheduler::counts() const {
  Counts counts = counts_;
  for (const auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::Running) {
      ++counts.running;
    } else {
      ++(sequence->was_parked ? counts.parked : counts.queued);
    }
  }
  counts.steps_in_flight = static_cast<std::uint32_t>(in_flight_.size());
  counts.free_kv_blocks = kv_.free_blocks();
  return counts;
}

}  // namespace shoal
