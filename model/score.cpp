#include "model/score.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "model/digest.h"

namespace shoal {
namespace {

constexpr SequenceId kSequence{1};  // the only one

StageSpec whole_spec(const ModelConfig& config, std::uint32_t max_context, std::uint32_t max_rows,
                     KvType kv_type) {
  StageSpec spec;
  spec.units = Range{0, config.num_units()};
  spec.head_blocks = Range{0, static_cast<std::uint32_t>(div_ceil(config.vocab_size, kHeadBlockRows))};
  spec.max_context = max_context;
  spec.max_rows = max_rows;
  spec.max_sequences = 1;
  spec.kv.type = kv_type;
  for (const KvKind& kind : kv_kinds(config)) {
    const std::uint32_t window_blocks =
        kind.window == 0 ? max_context : kind.window + max_rows + 2 * kKvBlockPositions;
    spec.kv.blocks.push_back(kv_blocks_needed({}, std::min(max_context, window_blocks), 0));
  }
  return spec;
}

ScoredRow scored_row(const CandidateRow& row) {
  const BlockSum whole = merge_block_sums(row.raw);
  ScoredRow scored;
  if (row.has_target) scored.next_logprob = logprob_of(whole, row.target_logit);
  for (const Candidate& candidate : row.by_raw)
    scored.top.push_back({candidate.id, logprob_of(whole, candidate.logit)});
  return scored;
}

}  // namespace

Result<WholeModel> WholeModel::open(const std::string& path, const KernelTable& kernels,
                                    std::size_t num_threads, std::uint32_t max_context,
                                    std::uint32_t max_rows, KvType kv_type) {
  Result<GgufFile> file = GgufFile::open(path);
  if (!file) return fail(file.error());
  WholeModel model;
  model.file_ = std::make_unique<GgufFile>(*std::move(file));
  Result<ModelConfig> config = read_model_config(*model.file_);
  if (!config) return fail(config.error());
  model.config_ = *std::move(config);
  model.pool_ = std::make_unique<ThreadPool>(num_threads);
  model.source_ = std::make_unique<GgufShardSource>(*model.file_, *model.pool_);
  const StageSpec spec = whole_spec(model.config_, max_context == 0 ? model.config_.max_seq_len : max_context,
                                    max_rows, kv_type);
  Result<std::unique_ptr<StageBackend>> stage = open_cpu_stage(
      spec, model.config_, tensor_specs(model.config_, *model.file_), *model.source_, kernels, *model.pool_);
  if (!stage) return fail(stage.error().during("opening " + path));
  model.stage_ = *std::move(stage);
  return model;
}

Status WholeModel::check_ids(std::span<const TokenId> ids) const {
  if (ids.empty()) return fail(ErrorCode::InvalidArgument, "there are no tokens to evaluate");
  if (ids.size() <= max_context()) return {};
  return fail(ErrorCode::InvalidArgument, std::to_string(ids.size()) + " tokens do not fit the context of " +
                                              std::to_string(max_context()));
}

RowGroup WholeModel::next_group(std::uint32_t first_position, std::size_t num_rows, std::uint32_t flags) {
  return RowGroup{.sequence = kSequence,
                  .step = StepNumber{++step_},
                  .first_position = first_position,
                  .num_rows = static_cast<std::uint32_t>(num_rows),
                  .flags = flags};
}

Status WholeModel::run(const RowGroup& group, std::span<const TokenId> ids, const SamplingParams* params,
                       std::uint32_t depth) {
  const StageInput input{
      .groups = {&group, 1}, .ids = ids, .hidden = nullptr, .sampling = {&params, 1}, .depth = {&depth, 1}};
  return stage_->run(input, output_);
}

Result<Score> WholeModel::score(std::span<const TokenId> ids, const ScoreOptions& options,
                                const std::function<void(std::size_t)>& progress) {
  if (Status ok = check_ids(ids); !ok) return fail(ok.error());
  SamplingParams params{
      .temperature = 0, .top_logprobs = std::min(options.top, kMaxTopLogprobs), .logit_bias = {}};
  const std::size_t chunk = std::clamp<std::size_t>(options.chunk, 1, stage_->spec().max_rows);
  LogitsDigest digest;
  Score score;
  for (std::size_t first = 0; first < ids.size(); first += chunk) {
    const std::span<const TokenId> rows = ids.subspan(first, std::min(chunk, ids.size() - first));
    RowGroup group = next_group(static_cast<std::uint32_t>(first), rows.size(),
                                kWantsAllRows | (options.digest ? kWantsDigest : 0u));
    if (first + rows.size() < ids.size()) group.next_id = ids[first + rows.size()];
    if (Status ok = run(group, rows, &params, 1); !ok) return fail(ok.error());
    for (const CandidateRow& row : output_.candidates) {
      score.rows.push_back(scored_row(row));
      digest.add_row(row.digests);
    }
    if (progress) progress(score.rows.size());
  }
  stage_->close(kSequence);
  if (options.digest) score.digest = digest.hex();
  return score;
}

// Leaves the candidates after the prompt's last row in output_; `last` is the group that asked for them.
Status WholeModel::prefill(std::span<const TokenId> prompt, const SamplingParams& params, RowGroup& last) {
  const std::size_t chunk = stage_->spec().max_rows;
  for (std::size_t first = 0; first < prompt.size(); first += chunk) {
    const std::span<const TokenId> rows = prompt.subspan(first, std::min(chunk, prompt.size() - first));
    const bool ends = first + rows.size() == prompt.size();
    last =
        next_group(static_cast<std::uint32_t>(first), rows.size(), ends ? std::uint32_t{kWantsLastRow} : 0u);
    if (Status ok = run(last, rows, &params, candidate_depth(params, config_.vocab_size)); !ok) return ok;
  }
  return {};
}

// From output_; where its candidates end too early, the last row is run again and asked for the whole
// vocabulary.
Result<ChosenToken> WholeModel::choose(const RowGroup& last, TokenId last_id, const SamplingParams& params) {
  std::optional<ChosenToken> choice = choose_token(output_.candidates.front(), params, config_.vocab_size);
  if (choice) return *std::move(choice);
  const RowGroup again = next_group(last.first_position + last.num_rows - 1, 1, kWantsLastRow);
  if (Status ok = run(again, {&last_id, 1}, &params, config_.vocab_size); !ok) return fail(ok.error());
  choice = choose_token(output_.candidates.front(), params, config_.vocab_size);
  if (!choice) return fail(ErrorCode::Internal, "the whole vocabulary's candidates do not decide the token");
  return *std::move(choice);
}

Result<std::vector<ChosenToken>> WholeModel::generate(std::span<const TokenId> prompt, SamplingParams params,
                                                      std::uint32_t max_tokens,
                                                      std::span<const TokenId> stops) {
  if (Status ok = check_ids(prompt); !ok) return fail(ok.error());
  params.answer_begin = static_cast<std::uint32_t>(prompt.size());
  RowGroup last;
  if (Status ok = prefill(prompt, params, last); !ok) return fail(ok.error());
  TokenId last_id = prompt.back();
  std::vector<ChosenToken> answer;
  while (answer.size() < max_tokens) {
    Result<ChosenToken> choice = choose(last, last_id, params);
    if (!choice) return fail(choice.error());
    answer.push_back(*std::move(choice));
    last_id = answer.back().id;
    const std::size_t length = prompt.size() + answer.size() - 1;  // positions held
    const bool stopped = std::find(stops.begin(), stops.end(), last_id) != stops.end();
    if (stopped || answer.size() == max_tokens || length == max_context()) break;
    last = next_group(static_cast<std::uint32_t>(length), 1, kWantsLastRow);
    if (Status ok = run(last, {&last_id, 1}, &params, candidate_depth(params, config_.vocab_size)); !ok)
      return fail(ok.error());
  }
  stage_->close(kSequence);
  return answer;
}

}  // namespace shoal
