#include "tests/model/stage_chain.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "base/checked_math.h"
#include "model/sampler.h"
#include "tests/support/random.h"

namespace shoal {

StageChain::StageChain(const TinyModel& model, ChainOptions options)
    : model_(model), options_(options), pool_(options.num_threads), source_(model.file(), pool_) {
  if (!options_.kernels) options_.kernels = runnable_kernels().back();
  const ModelConfig& config = model.config();
  const auto head_blocks = static_cast<std::uint32_t>(div_ceil(config.vocab_size, kHeadBlockRows));
  const bool split = options_.head_slices > 1;
  std::uint32_t begin = 0;
  for (std::uint32_t cut : options_.cuts) {
    open(Range{begin, cut}, {});
    begin = cut;
  }
  if (!split) {
    open(Range{begin, config.num_units()}, Range{0, head_blocks});
    return;
  }
  if (begin < config.head_unit()) open(Range{begin, config.head_unit()}, {});
  for (std::uint32_t s = 0; s < options_.head_slices; ++s) {
    const auto block = [&](std::uint32_t i) { return head_blocks * i / options_.head_slices; };
    open(Range{config.head_unit(), config.num_units()}, Range{block(s), block(s + 1)});
  }
}

void StageChain::open(Range units, Range head_blocks) {
  StageSpec spec;
  spec.units = units;
  spec.head_blocks = head_blocks;
  spec.max_context = options_.max_context;
  spec.max_rows = options_.max_rows;
  spec.max_sequences = options_.max_sequences;
  spec.kv.type = options_.kv_type;
  spec.kv.blocks.assign(kv_kinds(model_.config()).size(), options_.blocks_per_kind);
  auto stage = open_cpu_stage(spec, model_.config(), model_.specs(), source_, *options_.kernels, pool_);
  if (!stage) FAIL(stage.error().message());
  stages_.push_back(*std::move(stage));
}

std::vector<CandidateRow> StageChain::run(std::span<const RowGroup> groups, std::span<const TokenId> ids,
                                          std::span<const SamplingParams* const> sampling) {
  std::vector<std::byte> hidden;
  std::vector<std::vector<CandidateRow>> slices;  // per holder of the head
  for (const std::unique_ptr<StageBackend>& stage : stages_) {
    const bool head_alone = stage->spec().units.begin == model_.config().head_unit();
    const std::vector<std::byte> rows = head_alone ? wanted_rows(groups, hidden) : hidden;
    const StageInput input{groups, ids, rows.empty() ? nullptr : rows.data(), sampling, {}};
    StageOutput output;
    const Status ran = stage->run(input, output);
    if (!ran) FAIL(ran.error().message());
    if (!stage->spec().head_blocks.empty()) {
      slices.push_back(std::move(output.candidates));
      continue;
    }
    const Bytes out = std::as_bytes(output.hidden);
    hidden.assign(out.begin(), out.end());
  }
  std::vector<CandidateRow> merged;
  for (std::size_t row = 0; row < slices.front().size(); ++row) {
    std::vector<CandidateRow> parts;
    for (std::vector<CandidateRow>& slice : slices) parts.push_back(slice[row]);
    std::reverse(parts.begin(), parts.end());
    Result<CandidateRow> whole = merge_candidates(parts, model_.config().vocab_size);
    if (!whole) FAIL(whole.error().message());
    merged.push_back(*std::move(whole));
  }
  return merged;
}

std::vector<std::byte> StageChain::wanted_rows(std::span<const RowGroup> groups,
                                               std::span<const std::byte> hidden) const {
  const std::size_t row_bytes = model_.config().activation_bytes();
  std::vector<std::byte> wanted;
  std::size_t row = 0;
  for (const RowGroup& group : groups) {
    row += group.num_rows;
    const std::span<const std::byte> rows =
        hidden.subspan((row - group.num_wanted()) * row_bytes, group.num_wanted() * row_bytes);
    wanted.insert(wanted.end(), rows.begin(), rows.end());
  }
  return wanted;
}

std::vector<CandidateRow> StageChain::append(SequenceId sequence, std::uint32_t first_position,
                                             std::span<const TokenId> ids, std::uint32_t chunk) {
  std::vector<CandidateRow> rows;
  for (std::size_t first = 0; first < ids.size(); first += chunk) {
    const auto count = static_cast<std::uint32_t>(std::min<std::size_t>(chunk, ids.size() - first));
    const RowGroup group{.sequence = sequence,
                         .first_position = first_position + static_cast<std::uint32_t>(first),
                         .num_rows = count,
                         .flags = kWantsAllRows | kWantsDigest};
    for (CandidateRow& row : run({&group, 1}, ids.subspan(first, count))) rows.push_back(std::move(row));
  }
  return rows;
}

void StageChain::close(SequenceId sequence) {
  for (const std::unique_ptr<StageBackend>& stage : stages_) stage->close(sequence);
}

std::vector<TokenId> random_ids(std::uint64_t seed, std::size_t count, std::uint32_t vocab_size) {
  Random random(seed, "token ids");
  std::vector<TokenId> ids(count);
  for (TokenId& id : ids) id = static_cast<TokenId>(random.below(vocab_size));
  return ids;
}

bool same_answers(std::span<const CandidateRow> a, std::span<const CandidateRow> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](CandidateRow x, CandidateRow y) {
    x.step = y.step = StepNumber{0};
    x.has_target = y.has_target = false;  // a chunk's last row does not know what follows
    x.target_logit = y.target_logit = 0;
    return x == y;
  });
}

TinyModelOptions several_head_blocks(TinyModelOptions options) {
  options.vocab_size = 2500;
  return options;
}

}  // namespace shoal
