#include "simulation/timed_compute.h"

#include <cstring>

#include "base/checked_math.h"
#include "model/sampler.h"
#include "worker/sent_log.h"

namespace shoal {
namespace {

constexpr float kUnlikely = -1000;

// A row whose first candidate has all the mass, with lists and sums of their usual length.
CandidateRow certain_row(const ModelConfig& config) {
  CandidateRow row;
  row.raw.assign(div_ceil(config.vocab_size, kHeadBlockRows), {kUnlikely, 1});
  row.raw.front() = {0, 1};
  row.adjusted = row.raw;
  const std::uint32_t depth = candidate_depth(usual_sampling(), config.vocab_size);
  for (std::uint32_t i = 0; i < depth; ++i) {
    const float logit = i == 0 ? 0 : kUnlikely - static_cast<float>(i);
    row.by_adjusted.push_back({.id = static_cast<TokenId>(i), .logit = logit, .adjusted = logit});
  }
  return row;
}

}  // namespace

SamplingParams usual_sampling() {
  SamplingParams params;
  params.temperature = 0.2f;
  params.top_p = 0.9f;
  return params;
}

TimedCompute::TimedCompute(ProfileReport profile, const ServedModel& model)
    : model_(model), profile_(std::move(profile)), times_(profile_, model), row_(certain_row(model.config)) {}

StagesOpened TimedCompute::open(const PlanMessage& plan, DeviceId) {
  stages_ = plan.stages;
  kv_blocks_ = plan.kv_blocks;
  return {.epoch = plan.epoch};
}

StepDone TimedCompute::run(StepFrame frame) {
  const Range units = stages_.at(frame.stage).units;
  const double seconds = times_.step_seconds(units, frame.groups);
  if (frame.stage == 0 && !frame.ids.empty()) {
    ++first_steps_;
    first_rows_ += frame.ids.size();
  }
  StepDone done = units.end == model_.config.num_units() ? with_candidates(std::move(frame))
                                                         : with_rows(std::move(frame));
  done.seconds = seconds;
  return done;
}

StepDone TimedCompute::with_candidates(StepFrame frame) const {
  StepDone done{.epoch = frame.epoch, .stage = frame.stage, .output = {}, .rows = {}, .error = {}};
  CandidatesFrame answer{.epoch = frame.epoch,
                         .pipeline = frame.pipeline,
                         .stage = frame.stage,
                         .rows = {},
                         .groups = std::move(frame.groups)};
  for (const RowGroup& group : answer.groups) {
    const std::uint32_t end = group.first_position + group.num_rows;
    for (std::uint32_t position = end - group.num_wanted(); position < end; ++position) {
      CandidateRow& row = answer.rows.emplace_back(row_);
      row.sequence = group.sequence;
      row.step = group.step;
      row.position = position;
    }
  }
  done.output = std::move(answer);
  return done;
}

StepDone TimedCompute::with_rows(StepFrame frame) {
  StepDone done{.epoch = frame.epoch, .stage = frame.stage, .output = {}, .rows = {}, .error = {}};
  const bool next_is_head_alone = stages_.at(frame.stage + 1).units.begin == model_.config.head_unit();
  std::size_t rows = 0;
  for (const RowGroup& group : frame.groups) rows += next_is_head_alone ? group.num_wanted() : group.num_rows;
  if (rows > 0) {
    done.rows = buffers_.take(rows * model_.config.activation_bytes());
    std::memset(done.rows.data(), 0, done.rows.size());
  }
  frame.stage += 1;
  frame.dtype = rows > 0 ? Dtype::F32 : Dtype::None;
  fill_payload(done.rows, frame.payload);
  done.output = std::move(frame);
  return done;
}

}  // namespace shoal
