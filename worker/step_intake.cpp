#include "worker/step_intake.h"

#include <algorithm>
#include <string>

namespace shoal {
namespace {

using Commands = std::vector<WorkerCommand>;

void refuse(const StepFrame& frame, const RowGroup& group, StepNumber expected, RefusalReason reason,
            const std::string& detail, Commands& commands) {
  commands.push_back(SendMessage{kHub, Lane::Control,
                                 StepRefused{.epoch = frame.epoch,
                                             .stage = frame.stage,
                                             .sequence = group.sequence,
                                             .step = group.step,
                                             .expected = expected,
                                             .reason = reason,
                                             .detail = reason_text(detail)}});
}

bool begins_with_embedding(const StageAssignment& stage) { return stage.units.begin == 0; }
bool is_head_alone(const StageAssignment& stage, const ModelConfig& config) {
  return stage.units.begin == config.head_unit();
}

std::size_t expected_payload_bytes(const StageAssignment& stage, const ModelConfig& config,
                                   const StepFrame& frame) {
  if (begins_with_embedding(stage)) return 0;
  std::size_t rows = 0;
  for (const RowGroup& group : frame.groups) {
    rows += is_head_alone(stage, config) ? group.num_wanted() : group.num_rows;
  }
  return rows * config.hidden_size * sizeof(float);
}

// Why the frame makes no sense under this plan; empty if it does.
std::string find_fault(const ActivePlan& active, DeviceId self, DeviceId from, const StepFrame& frame) {
  const std::vector<StageAssignment>& stages = active.plan.stages;
  if (frame.stage >= stages.size() || stages[frame.stage].device != self)
    return "that stage does not run here";
  const DeviceId sender = frame.stage == 0 ? kHub : stages[frame.stage - 1].device;
  if (from != sender) return "the frame comes from a device that does not run the stage before";
  if (frame.pipeline != active.plan.pipeline) return "the frame is of another pipeline";
  for (const TokenId id : frame.ids) {
    if (id < 0 || static_cast<std::uint32_t>(id) >= active.config.vocab_size)
      return "a token id is outside the vocabulary";
  }
  for (const SequenceOpen& open : frame.opens) {
    const auto runs = [&](const RowGroup& group) {
      return group.sequence == open.sequence && group.num_rows > 0;
    };
    if (std::ranges::none_of(frame.groups, runs)) return "it opens a sequence that it has no rows of";
  }
  std::size_t bytes = 0;
  for (const Payload& chunk : frame.payload) bytes += chunk.size();
  const std::size_t expected = expected_payload_bytes(stages[frame.stage], active.config, frame);
  if (bytes != expected)
    return "payload of " + std::to_string(bytes) + " bytes where the plan says " + std::to_string(expected);
  return "";
}

// A step is known by its first group: no other has that sequence's number.
auto is_step(std::uint32_t stage, const std::vector<RowGroup>& groups) {
  return [stage, &first = groups.front()](const RunningStep& running) {
    return running.stage == stage && running.sequence == first.sequence && running.step == first.step;
  };
}

DeviceId receiver_of(const ActivePlan& active, std::uint32_t stage) {
  return stage < active.plan.stages.size() ? active.plan.stages[stage].device : kHub;
}

void send_on(WorkerState& state, std::uint32_t stage, StepOutput output, Time now, Commands& commands) {
  if (auto* candidates = std::get_if<CandidatesFrame>(&output)) {
    candidates->sent_at_ns = nanoseconds(now);
    commands.push_back(SendMessage{kHub, Lane::Data, std::move(*candidates)});
    return;
  }
  StepFrame& frame = std::get<StepFrame>(output);
  frame.sent_at_ns = nanoseconds(now);
  const DeviceId to = receiver_of(*state.active, stage + 1);
  if (to == state.settings.device) {
    take_step(state, to, std::move(frame), now, commands);
  } else {
    commands.push_back(SendMessage{to, Lane::Data, std::move(frame)});
  }
}

// A frame like the one first sent: the payload shares the logged rows.
StepFrame frame_like(const SentLog::Entry& sent) {
  StepFrame frame;
  copy_header(sent.frame, frame);
  fill_payload(sent.rows, frame.payload);
  return frame;
}

bool is_running(const WorkerState& state, const StepFrame& frame) {
  return std::ranges::any_of(state.running, is_step(frame.stage, frame.groups));
}

void answer_from_log(WorkerState& state, const StepFrame& repeated, Time now, Commands& commands) {
  if (const SentLog::Entry* sent = state.log.find(repeated.stage, repeated.groups)) {
    send_on(state, repeated.stage,
            sent->has_candidates ? StepOutput(sent->candidates) : StepOutput(frame_like(*sent)), now,
            commands);
  } else if (!is_running(state, repeated)) {  // a running one is answered when it is done
    refuse(repeated, repeated.groups.front(), StepNumber{0}, RefusalReason::Lost,
           "the answer is no longer held", commands);
  }
}

RefusalReason reason_for(ErrorCode code) {
  switch (code) {
    case ErrorCode::OutOfMemory:
      return RefusalReason::OutOfMemory;
    case ErrorCode::Corrupt:
      return RefusalReason::Corrupt;
    default:
      return RefusalReason::Invalid;
  }
}

StageWork& work_of(std::vector<StageWork>& all, std::uint32_t stage, std::uint32_t row_class) {
  const auto found = std::ranges::find_if(
      all, [&](const StageWork& w) { return w.stage == stage && w.row_class == row_class; });
  return found == all.end() ? all.emplace_back(StageWork{.stage = stage, .row_class = row_class}) : *found;
}

// A step that found the worker idle waited for nobody: what it took beside computing is the hand-over.
void count_work(WorkerState& state, const RunningStep& step, const StepDone& done, Time now) {
  std::uint32_t rows = 0;
  std::uint32_t wanted = 0;
  std::uint64_t context = 0;
  for (const RowGroup& group : groups_of(done)) {
    rows += group.num_rows;
    wanted += group.num_wanted();
    context += std::uint64_t{group.num_rows} * (2ull * group.first_position + group.num_rows - 1) / 2;
  }
  if (rows == 0) return;  // closes only
  StageWork& work = work_of(state.totals.work, done.stage, row_class_of(rows));
  work.least_transit_seconds =
      work.steps == 0 ? step.transit_seconds : std::min(work.least_transit_seconds, step.transit_seconds);
  work.transit_seconds += step.transit_seconds;
  ++work.steps;
  work.rows += rows;
  work.wanted_rows += wanted;
  work.context += context;
  work.seconds += done.seconds;
  if (!step.found_idle) return;
  ++work.idle_steps;
  work.hand_over_seconds += std::max(0.0, seconds(now - step.taken_at) - done.seconds);
}

void keep_for_repeats(WorkerState& state, const StepDone& done) {
  if (const auto* candidates = std::get_if<CandidatesFrame>(&done.output)) {
    state.log.keep(done.stage, *candidates);
  } else {
    state.log.keep(done.stage, std::get<StepFrame>(done.output), done.rows);
  }
}

}  // namespace

void take_step(WorkerState& state, DeviceId from, StepFrame frame, Time now, Commands& commands) {
  if (!state.active || frame.epoch != state.active->plan.epoch || frame.groups.empty()) {
    ++state.totals.rejected_frames;
    return;
  }
  if (const std::string fault = find_fault(*state.active, state.settings.device, from, frame);
      !fault.empty()) {
    ++state.totals.rejected_frames;
    refuse(frame, frame.groups.front(), StepNumber{0}, RefusalReason::Invalid, fault, commands);
    return;
  }
  StepWindow& window = state.windows[frame.stage];
  const StepWindow::Decision decision = window.judge(frame.groups);
  switch (decision.verdict) {
    case StepWindow::Verdict::Take:
      if (window.num_sequences_with(frame.groups) > state.active->plan.max_sequences) {
        ++state.totals.rejected_frames;
        refuse(frame, frame.groups.front(), StepNumber{0}, RefusalReason::OutOfMemory,
               "more than the plan's " + std::to_string(state.active->plan.max_sequences) + " sequences",
               commands);
        return;
      }
      window.take(frame.groups);
      ++state.totals.steps_taken;
      state.running.push_back({.stage = frame.stage,
                               .sequence = frame.groups.front().sequence,
                               .step = frame.groups.front().step,
                               .taken_at = now,
                               .transit_seconds = transit_seconds(frame.sent_at_ns, now),
                               .found_idle = state.running.empty()});
      state.step_taken_at = now;
      commands.push_back(RunStep{std::move(frame)});
      return;
    case StepWindow::Verdict::Repeat:
      answer_from_log(state, frame, now, commands);
      return;
    case StepWindow::Verdict::Gap:
      refuse(frame, *decision.group, decision.expected, RefusalReason::Gap, "a step before it is missing",
             commands);
      return;
  }
}

void finish_step(WorkerState& state, StepDone done, Time now, Commands& commands) {
  if (!state.active || done.epoch != state.active->plan.epoch) return;  // of a plan that ended while it ran
  const std::vector<RowGroup>& groups = groups_of(done);
  if (groups.empty()) return;
  const auto running = std::ranges::find_if(state.running, is_step(done.stage, groups));
  if (running == state.running.end()) return;  // never handed out
  const RunningStep step = *running;
  state.running.erase(running);
  if (done.error) {
    StepFrame failed;
    failed.epoch = done.epoch;
    failed.stage = done.stage;
    refuse(failed, groups.front(), StepNumber{0}, reason_for(done.error->code()), done.error->message(),
           commands);
    return;
  }
  count_work(state, step, done, now);
  keep_for_repeats(state, done);
  send_on(state, done.stage, std::move(done.output), now, commands);
}

}  // namespace shoal
