#include "cli/bench_model.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "base/micro_batch.h"
#include "model/gguf_shard_source.h"
#include "model/kv_budget.h"

namespace shoal {
namespace {

constexpr SequenceId kFirstSequence{1};
constexpr std::uint32_t kSpareBlocks = 2;  // a window that begins inside a block

StageSpec whole_spec(const ModelConfig& config, const BenchCapacity& capacity) {
  StageSpec spec;
  spec.units = Range{0, config.num_units()};
  spec.head_blocks = Range{0, static_cast<std::uint32_t>(div_ceil(config.vocab_size, kHeadBlockRows))};
  spec.max_context = capacity.max_context;
  spec.max_rows = std::clamp(capacity.max_context, capacity.max_sequences, kMaxRowsPerStep);
  spec.max_sequences = capacity.max_sequences;
  spec.kv.type = capacity.kv_type;
  for (const KvKind& kind : kv_kinds(config)) {
    const std::uint32_t alone = kv_blocks_needed(kind, capacity.max_context, spec.max_rows);
    const std::uint32_t together =
        capacity.max_sequences * (kv_blocks_needed(kind, capacity.batch_length, 1) + 1);
    spec.kv.blocks.push_back(std::max(alone, together) + kSpareBlocks);
  }
  return spec;
}

// Any ids do: what a product costs does not depend on them. Knuth's multiplicative hash spreads them over the
// vocabulary.
TokenId token_at(std::uint32_t sequence, std::uint32_t position, std::uint32_t vocab_size) {
  const std::uint32_t mixed = (position * 31 + sequence + 1) * 2654435761u;
  return static_cast<TokenId>((mixed >> 4) % vocab_size);
}

}  // namespace

Result<BenchModel> BenchModel::open(const std::string& path, const KernelTable& kernels,
                                    std::size_t num_threads, const BenchCapacity& capacity) {
  Result<GgufFile> file = GgufFile::open(path);
  if (!file) return fail(file.error());
  BenchModel model;
  model.file_ = std::make_unique<GgufFile>(*std::move(file));
  Result<ModelConfig> config = read_model_config(*model.file_);
  if (!config) return fail(config.error());
  model.config_ = *std::move(config);
  model.specs_ = tensor_specs(model.config_, *model.file_);
  model.pool_ = std::make_unique<ThreadPool>(num_threads);
  model.source_ = std::make_unique<GgufShardSource>(*model.file_, *model.pool_);
  if (Status ok = model.open_stage(kernels, capacity); !ok) return fail(ok.error().during("opening " + path));
  return model;
}

Result<BenchModel> BenchModel::reopen(const BenchStore& store, const KernelTable& kernels,
                                      std::size_t num_threads, const BenchCapacity& capacity) {
  BenchModel model;
  model.config_ = store.config();
  model.specs_ = store.specs();
  model.pool_ = std::make_unique<ThreadPool>(num_threads);
  Result<std::unique_ptr<ShardSource>> source = store.reopen();
  if (!source) return fail(source.error());
  model.source_ = *std::move(source);
  if (Status ok = model.open_stage(kernels, capacity); !ok) return fail(ok.error());
  return model;
}

Status BenchModel::open_stage(const KernelTable& kernels, const BenchCapacity& capacity) {
  Result<std::unique_ptr<StageBackend>> stage =
      open_cpu_stage(whole_spec(config_, capacity), config_, specs_, *source_, kernels, *pool_);
  if (!stage) return fail(stage.error());
  stage_ = *std::move(stage);
  return {};
}

Status BenchModel::prefill(std::uint32_t num_rows) {
  const std::uint32_t chunk = stage_->spec().max_rows;
  for (std::uint32_t first = 0; first < num_rows; first += chunk) {
    const std::uint32_t rows = std::min(chunk, num_rows - first);
    if (Status ok = run_step(1, first, rows, first + rows == num_rows); !ok) return ok;
  }
  return {};
}

Status BenchModel::decode(std::uint32_t num_sequences, std::uint32_t first, std::uint32_t num_steps) {
  for (std::uint32_t i = 0; i < num_steps; ++i)
    if (Status ok = run_step(num_sequences, first + i, 1, true); !ok) return ok;
  return {};
}

Result<std::vector<std::byte>> BenchModel::save(std::uint32_t num_positions) const {
  return stage_->export_kv(kFirstSequence, Range{0, num_positions});
}

Status BenchModel::restore(const std::vector<std::byte>& saved) {
  return stage_->import_kv(kFirstSequence, saved);
}

Status BenchModel::run_step(std::uint32_t num_sequences, std::uint32_t first_position, std::uint32_t num_rows,
                            bool wants_token) {
  groups_.clear();
  ids_.clear();
  ++step_;
  for (std::uint32_t sequence = 0; sequence < num_sequences; ++sequence) {
    groups_.push_back({.sequence = SequenceId{raw(kFirstSequence) + sequence},
                       .step = StepNumber{step_},
                       .first_position = first_position,
                       .num_rows = num_rows,
                       .flags = wants_token ? std::uint32_t{kWantsLastRow} : 0u});
    for (std::uint32_t row = 0; row < num_rows; ++row)
      ids_.push_back(token_at(sequence, first_position + row, config_.vocab_size));
  }
  const std::vector<std::uint32_t> depth(groups_.size(), 1);
  const std::vector<const SamplingParams*> sampling(groups_.size(), nullptr);
  return stage_->run(
      {.groups = groups_, .ids = ids_, .hidden = nullptr, .sampling = sampling, .depth = depth}, output_);
}

}  // namespace shoal
