#include <algorithm>

#include "coordinator/scheduler.h"
#include "coordinator/scheduler_sequence.h"

// Scheduler: how a step is put together.
namespace shoal {
namespace {

constexpr Duration kLeastPatience = std::chrono::seconds(2);
constexpr double kPatienceFactor = 8;
constexpr Duration kRepeatAllPause = std::chrono::milliseconds(200);
constexpr std::size_t kMostOpens = 16;  // their frame is bounded (kMaxOpensBytes), logit biases included
constexpr std::uint32_t kMostCandidates =
    1 << 20;  // of a step's answer: 16 bytes each, half of kMaxPayloadBytes

std::uint32_t rows_in(const StepFrame& frame) { return static_cast<std::uint32_t>(frame.ids.size()); }

}  // namespace

std::optional<StepFrame> Scheduler::next_step(Time now) {
  if (!shape_ || in_flight_.size() >= shape_->num_stages + 1) return std::nullopt;
  if (!in_flight_.empty() && find_accused()) return std::nullopt;
  StepFrame frame;
  frame.epoch = shape_->epoch;
  frame.pipeline = shape_->pipeline;
  add_closes(frame);
  admit_waiting();
  const std::uint32_t decode_rows = fill(frame);
  if (frame.groups.empty()) return std::nullopt;

  InFlight step;
  step.frame.epoch = frame.epoch;
  step.frame.pipeline = frame.pipeline;
  step.frame.groups = frame.groups;
  step.frame.ids = frame.ids;
  step.frame.opens = frame.opens;
  step.sent_at = now;
  step.patience = patience_for(frame);
  step.deadline = now + step.patience;
  step.is_decode = decode_rows > 0 && decode_rows == rows_in(frame);
  step.is_alone = in_flight_.empty();
  for (InFlight& other : in_flight_) other.is_alone = false;
  in_flight_.push_back(std::move(step));
  note_departure(frame, now);
  return frame;
}

// A first token is only measured where its request had the pipeline for itself from its first row on.
void Scheduler::note_departure(const StepFrame& frame, Time now) {
  last_active_ = now;
  const auto running = std::ranges::count_if(
      sequences_, [](const auto& s) { return s.second->state == Sequence::State::Running; });
  for (auto& [id, sequence] : sequences_) {
    if (running != 1) sequence->has_pipeline_alone = false;
  }
  for (const RowGroup& group : frame.groups) {
    Sequence* sequence = group.num_rows > 0 && group.first_position == 0 ? find(group.sequence) : nullptr;
    if (!sequence || sequence->was_parked || sequence->answered() > 0) continue;
    sequence->first_sent_at = now;
    sequence->has_pipeline_alone = running == 1;
  }
}

// Returns how many of its rows decode in a step that they share.
std::uint32_t Scheduler::fill(StepFrame& frame) {
  if (Sequence* accused = find_accused()) {
    if (is_free_to_go(*accused, frame)) add_alone(frame, *accused);
    return 0;
  }
  if (Sequence* suspect = next_suspect(frame)) {
    add_alone(frame, *suspect);
    return 0;
  }
  add_decodes(frame);
  const std::uint32_t decode_rows = rows_in(frame);
  add_prefills(frame, num_decoding() > 0);
  return decode_rows;
}

// A late answer is only suspicious when it is much later than steps of that size have been, behind all that
// is in flight.
Duration Scheduler::patience_for(const StepFrame& frame) const {
  double rows = rows_in(frame);
  for (const InFlight& step : in_flight_) rows += rows_in(step.frame);
  const double one_row = counts_.step_seconds > 0 ? counts_.step_seconds : shape_->predicted_step_seconds;
  const double expected = one_row + rows * std::max(seconds_per_row_, one_row / 8);
  return kLeastPatience + from_seconds(kPatienceFactor * expected);
}

std::uint32_t Scheduler::num_decoding() const {
  return static_cast<std::uint32_t>(std::ranges::count_if(sequences_, [](const auto& s) {
    return s.second->state == Sequence::State::Running && s.second->decodes();
  }));
}

// Decoding sequences are shared out over the steps that the pipeline holds at once.
std::uint32_t Scheduler::decode_share() const {
  const std::uint32_t share = (num_decoding() + shape_->num_stages - 1) / shape_->num_stages;
  return std::clamp(share, 1u, kMaxGroupsPerStep / 2);
}

// How many more candidates the step's answer may bring back.
std::uint32_t Scheduler::candidate_room(const StepFrame& frame) const {
  std::uint64_t taken = 0;
  for (const RowGroup& group : frame.groups) {
    const auto sequence = sequences_.find(group.sequence);
    if (sequence != sequences_.end())
      taken += std::uint64_t{group.num_wanted()} * sequence->second->candidates_per_row();
  }
  return kMostCandidates - static_cast<std::uint32_t>(std::min<std::uint64_t>(taken, kMostCandidates));
}

// Its own close may be pending, or be in this very step: a stage takes one group of a sequence at a time.
bool Scheduler::is_free_to_go(const Sequence& sequence, const StepFrame& frame) const {
  const auto is_of_it = [&](const RowGroup& group) { return group.sequence == sequence.id; };
  return sequence.is_due() && !close_is_pending(sequence.id) && std::ranges::none_of(frame.groups, is_of_it);
}

bool Scheduler::may_join(const Sequence& sequence, const StepFrame& frame) const {
  if (sequence.is_suspect() || !is_free_to_go(sequence, frame)) return false;
  return candidate_room(frame) >= std::min(sequence.candidates_per_row(), kMostCandidates);
}

// The oldest that runs. Each goes with nothing else in flight until it brings a token or a last death.
Scheduler::Sequence* Scheduler::find_accused() {
  for (auto& [id, sequence] : sequences_) {
    if (sequence->state == Sequence::State::Running && sequence->is_accused()) return sequence.get();
  }
  return nullptr;
}

Scheduler::Sequence* Scheduler::next_suspect(const StepFrame& frame) {
  for (auto& [id, sequence] : sequences_) {
    if (sequence->is_suspect() && is_free_to_go(*sequence, frame)) return sequence.get();
  }
  return nullptr;
}

void Scheduler::add_alone(StepFrame& frame, Sequence& sequence) {
  if (frame.groups.size() >= kMaxGroupsPerStep || !make_room_for(sequence, frame)) return;
  add_group(
      frame, sequence,
      rows_of_next_group(sequence, std::min(options_.prefill_chunk, shape_->max_rows), kMostCandidates));
}

// Every stage frees a frame's closed sequences before it runs the frame's rows, so their blocks serve this
// very step.
void Scheduler::add_closes(StepFrame& frame) {
  while (!closes_.empty() && frame.groups.size() < kMaxGroupsPerStep) {
    frame.groups.push_back(closes_.front().group);
    kv_.give_back(closes_.front().kv_held);
    closes_.erase(closes_.begin());
  }
}

bool Scheduler::close_is_pending(SequenceId id) const {
  return std::ranges::any_of(closes_, [&](const Close& close) { return close.group.sequence == id; });
}

// Round robin from the one after the last served.
void Scheduler::add_decodes(StepFrame& frame) {
  turns_.clear();
  for (auto& [id, sequence] : sequences_) {
    if (sequence->decodes() && may_join(*sequence, frame)) turns_.push_back(sequence.get());
  }
  const auto after_last = [&](const Sequence* sequence) { return raw(sequence->id) > raw(last_decoded_); };
  std::rotate(turns_.begin(), std::ranges::find_if(turns_, after_last), turns_.end());
  std::uint32_t share = decode_share();
  for (Sequence* sequence : turns_) {
    if (share == 0 || frame.groups.size() >= kMaxGroupsPerStep || frame.opens.size() >= kMostOpens) return;
    if (!may_join(*sequence, frame) || !make_room_for(*sequence, frame)) continue;
    add_group(frame, *sequence, 1);
    last_decoded_ = sequence->id;
    --share;
  }
}

// Grows the sequence's reservation; while that fails, parks the youngest running one that is not in this step
// already, itself if need be.
bool Scheduler::make_room_for(Sequence& sequence, StepFrame& frame) {
  while (!grow(sequence)) {
    Sequence* youngest = &sequence;
    for (auto& entry : sequences_) {
      Sequence& other = *entry.second;
      const bool in_step = std::ranges::any_of(
          frame.groups, [&](const RowGroup& group) { return group.sequence == other.id; });
      if (other.state == Sequence::State::Running && !in_step && raw(other.id) > raw(youngest->id))
        youngest = &other;
    }
    park(*youngest);
    add_closes(frame);
    if (youngest == &sequence || frame.groups.size() >= kMaxGroupsPerStep) return false;
  }
  return true;
}

void Scheduler::add_prefills(StepFrame& frame, bool beside_decode) {
  const std::uint32_t chunk =
      beside_decode ? std::min(options_.busy_prefill_chunk, options_.prefill_chunk) : options_.prefill_chunk;
  std::uint32_t budget = std::min(chunk, shape_->max_rows - rows_in(frame));
  for (auto& [id, sequence] : sequences_) {
    if (budget == 0 || frame.groups.size() >= kMaxGroupsPerStep || frame.opens.size() >= kMostOpens) return;
    if (sequence->decodes() || !may_join(*sequence, frame)) continue;
    const std::uint32_t rows = rows_of_next_group(*sequence, budget, candidate_room(frame));
    add_group(frame, *sequence, rows);
    budget -= rows;
  }
}

// Rows that a replay only rebuilds and rows whose judgement is still owed do not share a group: one group has
// one set of flags.
std::uint32_t Scheduler::rows_of_next_group(const Sequence& sequence, std::uint32_t budget,
                                            std::uint32_t room) const {
  std::uint32_t end = sequence.size();
  if (sequence.wants_prompt_rows()) {
    if (sequence.sent < sequence.rows_reported) {
      end = std::min(end, sequence.rows_reported);
    } else if (sequence.sent < sequence.prompt_size) {
      end = std::min(end, sequence.prompt_size);
      budget = std::min(budget, std::max(1u, room / sequence.candidates_per_row()));
    }
  }
  return std::min(end - sequence.sent, budget);
}

void Scheduler::add_group(StepFrame& frame, Sequence& sequence, std::uint32_t rows) {
  sequence.last_step = next(sequence.last_step);
  RowGroup group{
      .sequence = sequence.id, .step = sequence.last_step, .first_position = sequence.sent, .num_rows = rows};
  const std::uint32_t end = sequence.sent + rows;
  const bool judged = sequence.wants_prompt_rows() && sequence.sent >= sequence.rows_reported &&
                      sequence.sent < sequence.prompt_size;
  if (judged) {
    group.flags = kWantsAllRows | (sequence.request.digest ? kWantsDigest : 0u);
    if (end < sequence.prompt_size) group.next_id = sequence.tokens[end];
  }
  if (end == sequence.size()) {
    if (sequence.request.max_tokens > 0 && !judged) group.flags |= kWantsLastRow;
    sequence.awaits_choice = true;
  }
  if (sequence.announce) {
    frame.opens.push_back(
        {.sequence = sequence.id, .depth = sequence.depth, .params = sequence.request.sampling});
    sequence.announce = false;
  }
  frame.groups.push_back(group);
  frame.ids.insert(frame.ids.end(), sequence.tokens.begin() + sequence.sent, sequence.tokens.begin() + end);
  sequence.sent = end;
  sequence.known_to_pipeline = true;
}

std::vector<StepFrame> Scheduler::take_overdue(Time now) {
  std::vector<StepFrame> frames;
  for (InFlight& step : in_flight_) {
    if (!step.answer && now >= step.deadline) frames.push_back(repeat(step, now));
  }
  return frames;
}

std::vector<StepFrame> Scheduler::take_unanswered(Time now) {
  std::vector<StepFrame> frames;
  if (now - repeated_all_at_ < kRepeatAllPause) return frames;
  repeated_all_at_ = now;
  for (InFlight& step : in_flight_) {
    if (!step.answer) frames.push_back(repeat(step, now));
  }
  return frames;
}

void Scheduler::forgive(Duration asleep) {
  for (InFlight& step : in_flight_) {
    step.sent_at += asleep;
    step.deadline += asleep;
  }
}

StepFrame Scheduler::repeat(InFlight& step, Time now) {
  ++step.repeats;
  step.patience *= 2;
  step.deadline = now + step.patience;
  StepFrame frame;
  frame.epoch = step.frame.epoch;
  frame.pipeline = step.frame.pipeline;
  frame.groups = step.frame.groups;
  frame.ids = step.frame.ids;
  frame.opens = step.frame.opens;
  return frame;
}

std::uint32_t Scheduler::most_repeats() const {
  std::uint32_t most = 0;
  for (const InFlight& step : in_flight_) {
    if (!step.answer) most = std::max(most, step.repeats);
  }
  return most;
}

}  // namespace shoal
