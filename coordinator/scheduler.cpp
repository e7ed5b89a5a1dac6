#include "coordinator/scheduler.h"

#include <algorithm>
#include <cmath>

#include "coordinator/scheduler_sequence.h"
#include "model/sampler.h"

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

// ---- Epochs ---------------------------------------------------------------------------------------------------------------------

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
  kv_.reset(shape.kv);
  for (auto& [id, sequence] : sequences_) {
    sequence->sent = 0;
    sequence->known_to_pipeline = false;
    sequence->announce = true;
    sequence->awaits_choice = false;
    sequence->kv_held.clear();
  }
  admit_waiting();
}

// ---- Requests -------------------------------------------------------------------------------------------------------------------

void Scheduler::submit(RequestId id, InferenceRequest request, Time now) {
  const auto refuse = [&](ErrorCode code, std::string message, const char* api_code) {
    ++counts_.failed;
    events_.emplace_back(id, FailedEvent{code, std::move(message), api_code});
  };
  if (request.prompt.empty()) return refuse(ErrorCode::InvalidArgument, "the prompt has no tokens", "empty_prompt");
  const std::uint32_t max_context = options_.max_context;
  const std::uint64_t wanted = request.prompt.size() + std::max<std::uint64_t>(request.max_tokens, request.max_tokens > 0 ? 1 : 0);
  if (request.prompt.size() > max_context || (request.max_tokens > 0 && request.prompt.size() >= max_context)) {
    return refuse(ErrorCode::InvalidArgument,
                  "the prompt has " + std::to_string(request.prompt.size()) + " tokens and asks for " +
                      std::to_string(wanted - request.prompt.size()) + " more; the context holds " + std::to_string(max_context),
                  "context_length_exceeded");
  }
  if (sequences_.size() >= options_.max_queue) {
    return refuse(ErrorCode::Unavailable, std::to_string(sequences_.size()) + " requests wait already: try again later", "queue_full");
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
  while (!sequences_.empty()) {
    emit(*sequences_.begin()->second, reason);
    ++counts_.failed;
    end(*sequences_.begin()->second);
  }
}

void Scheduler::fail_sequence(SequenceId id, const FailedEvent& reason) {
  Sequence* sequence = find(id);
  if (!sequence) return;
  emit(*sequence, reason);
  ++counts_.failed;
  end(*sequence);
}

// Frees what the pipeline holds of it and forgets it.
void Scheduler::end(Sequence& sequence) {
  release(sequence);
  by_request_.erase(sequence.request_id);
  sequences_.erase(sequence.id);
}

// ---- KV admission ---------------------------------------------------------------------------------------------------------------

namespace {

std::vector<std::uint32_t> blocks_for(const std::vector<KvKind>& kinds, std::uint32_t length, std::uint32_t chunk) {
  std::vector<std::uint32_t> blocks;
  for (const KvKind& kind : kinds) blocks.push_back(kv_blocks_needed(kind, length, chunk));
  return blocks;
}

}  // namespace

void Scheduler::admit_waiting() {
  if (!shape_) return;
  std::uint32_t running = 0;
  for (const auto& [id, sequence] : sequences_) running += sequence->state == Sequence::State::Running;
  for (auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::Running) continue;
    if (running >= shape_->max_sequences || !grow(*sequence)) return;  // in order of arrival: nobody overtakes
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
    closes_.push_back({{.sequence = sequence.id, .step = sequence.last_step, .flags = kCloses}, std::move(sequence.kv_held)});
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
