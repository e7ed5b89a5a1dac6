#include <algorithm>

#include "coordinator/device_speed.h"
#include "coordinator/scheduler.h"
#include "coordinator/scheduler_sequence.h"
#include "model/sampler.h"

// Scheduler: what the candidates that come back mean.
namespace shoal {
namespace {

constexpr double kAverageWeight = 0.2;

void average_in(double& average, double sample) {
  average = average == 0 ? sample : average + kAverageWeight * (sample - average);
}

}  // namespace

Status Scheduler::on_candidates(CandidatesFrame frame, Time now) {
  if (!shape_ || frame.epoch != shape_->epoch)
    return fail(ErrorCode::StaleEpoch, "candidates of another epoch");
  const auto step = std::ranges::find_if(
      in_flight_, [&](const InFlight& s) { return !s.answer && s.frame.groups == frame.groups; });
  if (step == in_flight_.end())
    return fail(ErrorCode::InvalidArgument, "candidates for a step that is not in flight");
  if (Status answers = check_answer(*step, frame); !answers) return answers;
  newest_answered_ = std::max(newest_answered_, step->sent_at);
  last_active_ = now;
  meter_.add(measured(*step, now), now);
  const double took = seconds(now - step->sent_at);
  if (step->is_decode) {
    average_in(counts_.step_seconds, took);
  } else if (!step->frame.ids.empty()) {
    average_in(seconds_per_row_, took / static_cast<double>(step->frame.ids.size()));
  }
  step->answer = std::move(frame);
  for (auto due = next_to_judge(); due != in_flight_.end(); due = next_to_judge()) {
    CandidatesFrame answer = *std::move(due->answer);
    in_flight_.erase(due);
    judge(std::move(answer), now);
  }
  return {};
}

ServiceMeter::Step Scheduler::measured(const InFlight& step, Time now) const {
  const Visit visit = visit_of(step.frame.groups);
  const auto with_rows =
      std::ranges::count_if(step.frame.groups, [](const RowGroup& g) { return g.num_rows > 0; });
  return {.rows = static_cast<std::uint32_t>(visit.rows),
          .sequences = static_cast<std::uint32_t>(with_rows),
          .context = visit.context,
          .is_decode = step.is_decode,
          .was_alone = step.is_alone && step.repeats == 0,
          .streams = num_decoding(),
          .seconds = seconds(now - step.sent_at)};
}

// Rows of one sequence are judged in order: an answer that overtook another (a repeat, most likely) waits for
// it if both have judgements of the same sequence.
std::deque<Scheduler::InFlight>::iterator Scheduler::next_to_judge() {
  const auto comes_before = [](const InFlight& earlier, const InFlight& step) {
    return std::ranges::any_of(earlier.frame.groups, [&](const RowGroup& group) {
      return group.num_wanted() > 0 && std::ranges::any_of(step.frame.groups, [&](const RowGroup& g) {
               return g.sequence == group.sequence;
             });
    });
  };
  return std::find_if(in_flight_.begin(), in_flight_.end(), [&](const InFlight& step) {
    if (!step.answer) return false;
    for (const InFlight& earlier : in_flight_) {
      if (&earlier == &step) return true;
      if (comes_before(earlier, step)) return false;
    }
    return true;
  });
}

void Scheduler::judge(CandidatesFrame answer, Time now) {
  for (CandidateRow& row : answer.rows) judge_row(std::move(row), now);
  for (const RowGroup& group : answer.groups) {
    Sequence* sequence = find(group.sequence);
    if (!sequence || group.step != sequence->last_step || sequence->size() > sequence->prompt_size) continue;
    const std::uint32_t done = group.first_position + group.num_rows;
    if (sequence->request.max_tokens == 0 && done == sequence->prompt_size) {
      finish(*sequence, FinishReason::Length, now);
    } else if (done < sequence->prompt_size) {
      emit(*sequence, ProgressEvent{ProgressEvent::Kind::Prefill, done, sequence->prompt_size});
    }
  }
}

// The rows that were asked for, in order, each whole. They come from another device and index our tables.
Status Scheduler::check_answer(const InFlight& step, const CandidatesFrame& frame) const {
  auto row = frame.rows.begin();
  for (const RowGroup& group : step.frame.groups) {
    const std::uint32_t end = group.first_position + group.num_rows;
    for (std::uint32_t position = end - group.num_wanted(); position < end; ++position, ++row) {
      const bool is_it = row != frame.rows.end() && row->sequence == group.sequence &&
                         row->step == group.step && row->position == position;
      if (!is_it) return fail(ErrorCode::Corrupt, "the candidates are not of the rows that were asked for");
      if (Status whole = check_row(*row, config_.vocab_size); !whole) return whole;
      const bool lacks_digest = (group.flags & kWantsDigest) != 0 && row->digests.empty();
      if (lacks_digest) return fail(ErrorCode::Corrupt, "candidates without the digest that was asked for");
    }
  }
  if (row != frame.rows.end()) return fail(ErrorCode::Corrupt, "more candidates than rows were asked for");
  return {};
}

void Scheduler::judge_row(CandidateRow row, Time now) {
  Sequence* sequence = find(row.sequence);
  if (!sequence || sequence->state != Sequence::State::Running || row.position >= sequence->sent) return;
  if (sequence->wants_prompt_rows() && row.position < sequence->prompt_size &&
      row.position == sequence->rows_reported) {
    report_prompt_row(*sequence, row);
  }
  const bool is_last = row.position + 1 == sequence->size() && row.step == sequence->last_step;
  if (is_last && sequence->awaits_choice && sequence->request.max_tokens > 0) choose(*sequence, row, now);
}

void Scheduler::report_prompt_row(Sequence& sequence, const CandidateRow& row) {
  ++sequence.rows_reported;
  sequence.deaths = 0;
  if (sequence.request.digest) sequence.digest.add_row(row.digests);
  if (!sequence.request.echo_logprobs) return;
  const BlockSum whole = merge_block_sums(row.raw);
  PromptTokenEvent event{.row = row.position};
  event.has_logprob = row.has_target;
  if (row.has_target) event.logprob = logprob_of(whole, row.target_logit);
  for (const Candidate& candidate : row.by_raw)
    event.top.push_back({candidate.id, logprob_of(whole, candidate.logit)});
  emit(sequence, std::move(event));
}

void Scheduler::choose(Sequence& sequence, const CandidateRow& row, Time now) {
  const std::optional<ChosenToken> choice = choose_token(row, sequence.request.sampling, config_.vocab_size);
  if (!choice && sequence.depth >= config_.vocab_size) {
    return fail_sequence(
        sequence, {ErrorCode::Internal, "the model's answer holds no token to choose", "no_candidates"});
  }
  if (!choice) {
    // The cut lies in the tail that was not returned: judge the same position again, deeper.
    sequence.depth = std::min(config_.vocab_size, std::max(sequence.depth, 64u) * 8);
    sequence.announce = true;
    sequence.awaits_choice = false;
    sequence.sent = sequence.size() - 1;
    return;
  }
  sequence.awaits_choice = false;
  sequence.deaths = 0;
  if (sequence.answered() == 0) note_first_token(sequence, now);
  if (text_.is_end_of_text(choice->id) && !sequence.request.ignore_end)
    return finish(sequence, FinishReason::Stop, now);

  TokenEvent event{
      .id = choice->id, .index = sequence.answered(), .text = sequence.text.push(text_.piece(choice->id))};
  event.logprob = choice->logprob;
  for (const TokenLogprob& top : choice->top) event.top.push_back({top.id, top.logprob});
  sequence.tokens.push_back(choice->id);
  ++counts_.tokens;
  emit(sequence, std::move(event));

  if (sequence.text.stopped()) return finish(sequence, FinishReason::Stop, now);
  const bool is_full =
      sequence.answered() >= sequence.request.max_tokens || sequence.size() >= options_.max_context;
  if (is_full) finish(sequence, FinishReason::Length, now);
}

void Scheduler::note_first_token(Sequence& sequence, Time now) {
  sequence.first_token_at = now;
  const bool was_timed = sequence.first_sent_at != Time{} && sequence.has_pipeline_alone;
  if (was_timed && !sequence.wants_prompt_rows())
    meter_.add_first_token({sequence.prompt_size, seconds(now - sequence.first_sent_at)});
}

void Scheduler::finish(Sequence& sequence, FinishReason reason, Time now) {
  FinishedEvent event{.reason = reason, .text = sequence.text.flush()};
  event.prompt_tokens = sequence.prompt_size;
  event.completion_tokens = sequence.answered();
  const Time first = sequence.first_token_at == Time{} ? now : sequence.first_token_at;
  event.prefill_seconds = seconds(first - sequence.submitted_at);
  event.decode_seconds = seconds(now - first);
  if (sequence.request.digest) event.digest = sequence.digest.hex();
  emit(sequence, std::move(event));
  ++counts_.finished;
  end(sequence);
}

}  // namespace shoal
