#include "tests/coordinator/scripted_pipeline.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "model/sampler.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMaxContext = 256;

StepFrame copy_of(const StepFrame& frame) {
  StepFrame copy;
  copy.epoch = frame.epoch;
  copy.groups = frame.groups;
  copy.ids = frame.ids;
  copy.opens = frame.opens;
  return copy;
}

}  // namespace

ModelConfig scripted_config(std::uint32_t window) {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 32;
  config.num_heads = config.num_kv_heads = 1;
  config.head_dim = 8;
  config.vocab_size = 128;
  config.max_seq_len = kMaxContext;
  config.layers.resize(2);
  config.layers[0].window = window;
  return config;
}

const TokenText& letters() {
  static const TokenText text{.piece =
                                  [](TokenId id) {
                                    static thread_local char letter;
                                    letter = static_cast<char>(id);
                                    return std::string_view(&letter, 1);
                                  },
                              .is_end_of_text = [](TokenId id) { return id == kEndOfText; }};
  return text;
}

ScriptedPipeline::ScriptedPipeline(Scheduler& scheduler, const ModelConfig& config,
                                   const PipelineShape& shape)
    : scheduler_(scheduler), config_(config) {
  restart(shape);
}

void ScriptedPipeline::restart(const PipelineShape& shape) {
  shape_ = shape;
  Result<KvCache> kv =
      KvCache::open(config_, {0, config_.num_units()}, shape.kv, shape.max_sequences, kMaxContext);
  REQUIRE(kv.has_value());
  kv_.emplace(*std::move(kv));
  tokens_.clear();
  window_ = {};
  opens_.clear();
  taken_.clear();
  answers_.clear();
  scheduler_.start_epoch(shape);
}

void ScriptedPipeline::fault(const std::string& what) {
  faults_ += "step " + std::to_string(history_.size()) + ": " + what + "\n";
}

void ScriptedPipeline::lose_one() {
  taken_.pop_front();
  answers_.pop_front();
}

void ScriptedPipeline::collect() {
  for (auto& [request, event] : scheduler_.take_events()) events[request].push_back(std::move(event));
}

std::size_t ScriptedPipeline::take_steps() {
  std::size_t count = 0;
  while (std::optional<StepFrame> frame = scheduler_.next_step(now)) {
    take(*frame);
    history_.push_back(copy_of(*frame));
    answers_.push_back(run_step(*frame));
    taken_.push_back(*std::move(frame));
    ++count;
  }
  collect();
  return count;
}

void ScriptedPipeline::take(const StepFrame& frame) {
  if (frame.epoch != shape_.epoch) fault("another epoch");
  if (frame.groups.empty() || frame.groups.size() > kMaxGroupsPerStep) fault("no groups, or too many");
  if (frame.ids.size() > shape_.max_rows) fault("too many rows");
  for (const SequenceOpen& open : frame.opens) opens_[open.sequence] = open;
  const StepWindow::Decision decision = window_.judge(frame.groups);
  if (decision.verdict != StepWindow::Verdict::Take)
    fault("the stage does not take sequence " + std::to_string(raw(decision.group->sequence)));
  window_.take(frame.groups);
  std::vector<RowGroup> with_rows;
  std::size_t row = 0;
  for (const RowGroup& group : frame.groups) {
    if (group.flags & kCloses) {
      kv_->close(group.sequence);
      tokens_.erase(group.sequence);
      opens_.erase(group.sequence);
      continue;
    }
    std::vector<TokenId>& tokens = tokens_[group.sequence];
    if (group.first_position > tokens.size()) fault("a gap in the positions");
    tokens.resize(group.first_position);
    tokens.insert(tokens.end(), frame.ids.begin() + static_cast<std::ptrdiff_t>(row),
                  frame.ids.begin() + static_cast<std::ptrdiff_t>(row + group.num_rows));
    row += group.num_rows;
    if (!opens_.contains(group.sequence)) fault("rows before the sequence was opened");
    with_rows.push_back(group);
  }
  if (row != frame.ids.size()) fault("not one id per row");
  std::vector<std::uint32_t> slots(with_rows.size());
  if (const Status admitted = kv_->admit(with_rows, slots); !admitted) fault(admitted.error().message());
}

CandidatesFrame ScriptedPipeline::run_step(const StepFrame& frame) const {
  CandidatesFrame answer;
  answer.epoch = frame.epoch;
  answer.groups = frame.groups;
  for (const RowGroup& group : frame.groups) {
    for (std::uint32_t i = group.num_rows - group.num_wanted(); i < group.num_rows; ++i) {
      const std::vector<TokenId>& tokens = tokens_.at(group.sequence);
      const std::uint64_t seed = opens_.at(group.sequence).params.seed;
      const std::uint32_t position = group.first_position + i;
      const std::vector<TokenId> before(tokens.begin(), tokens.begin() + position + 1);
      const Candidate best{.id = scripted_token(before, seed), .logit = 1, .adjusted = 1, .noise = 0};
      CandidateRow row{.sequence = group.sequence, .step = group.step, .position = position};
      row.raw = {BlockSum{1, 1}};
      row.by_adjusted = row.by_raw = {best};
      if (group.flags & kWantsDigest) row.digests = {static_cast<std::uint64_t>(best.id) * 1000 + position};
      row.has_target = position + 1 < tokens.size() || group.next_id >= 0;
      answer.rows.push_back(std::move(row));
    }
  }
  return answer;
}

bool ScriptedPipeline::answer_one() {
  if (taken_.empty()) return false;
  now += step_time;
  CandidatesFrame answer = std::move(answers_.front());
  lose_one();
  if (const Status judged = scheduler_.on_candidates(std::move(answer), now); !judged)
    fault(judged.error().message());
  collect();
  return true;
}

void ScriptedPipeline::run() {
  for (int i = 0; i < 20000; ++i) {
    const bool took = take_steps() > 0;
    if (!answer_one() && !took) return;
  }
  fault("it never comes to rest");
}

TokenId scripted_token(const std::vector<TokenId>& tokens, std::uint64_t seed) {
  std::uint64_t hash = seed * 0x9E3779B97F4A7C15ull + 1;
  for (const TokenId id : tokens) hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x100000001B3ull;
  return static_cast<TokenId>('a' + (hash >> 32) % 25);  // never 'z'
}

std::string scripted_answer(std::vector<TokenId> prompt, std::uint64_t seed, std::uint32_t max_tokens) {
  std::string text;
  for (std::uint32_t i = 0; i < max_tokens; ++i) {
    prompt.push_back(scripted_token(prompt, seed));
    text += static_cast<char>(prompt.back());
  }
  return text;
}

InferenceRequest scripted_request(const std::string& prompt, std::uint32_t max_tokens, std::uint64_t seed) {
  InferenceRequest request;
  request.prompt.assign(prompt.begin(), prompt.end());
  request.max_tokens = max_tokens;
  request.sampling.temperature = 0;
  request.sampling.seed = seed;
  return request;
}

PipelineShape scripted_shape(const ModelConfig& config, std::uint32_t blocks, std::uint32_t epoch) {
  PipelineShape shape;
  shape.epoch = make_epoch(1, epoch);
  shape.num_stages = 2;
  shape.max_rows = 64;
  shape.max_sequences = 8;
  shape.kv.blocks.assign(kv_kinds(config).size(), blocks);
  return shape;
}

std::string text_of(const std::vector<InferenceEvent>& events) {
  std::string text;
  for (const InferenceEvent& event : events) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) text += token->text;
    if (const auto* finished = std::get_if<FinishedEvent>(&event)) text += finished->text;
  }
  return text;
}

const FinishedEvent* finish_of(const std::vector<InferenceEvent>& events) {
  return events.empty() ? nullptr : std::get_if<FinishedEvent>(&events.back());
}

const FailedEvent* failure_of(const std::vector<InferenceEvent>& events) {
  return events.empty() ? nullptr : std::get_if<FailedEvent>(&events.back());
}

}  // namespace shoal
