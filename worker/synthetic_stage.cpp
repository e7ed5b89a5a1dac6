#include "worker/synthetic_stage.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace shoal {
namespace {

constexpr std::byte kWeightPattern{0x2c};  // as f16 0.066, as f32 2e-12, as int8 44: tame in every type

using AlignedBytes = std::unique_ptr<std::byte, decltype(&std::free)>;

AlignedBytes patterned(std::size_t bytes) {
  AlignedBytes memory(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), &std::free);
  if (memory) std::memset(memory.get(), static_cast<int>(kWeightPattern), bytes);
  return memory;
}

StageSpec spec_of(const SyntheticModel& model, const SyntheticSize& size) {
  StageSpec spec{.units = model.units,
                 .head_blocks = {},
                 .max_context = size.max_context,
                 .max_rows = size.max_rows,
                 .max_sequences = size.max_sequences,
                 .kv = {}};
  if (model.units.contains(model.config.head_unit()))
    spec.head_blocks = {0, (model.config.vocab_size + kHeadBlockRows - 1) / kHeadBlockRows};
  for (const KvKind& kind : kv_kinds(model.config)) {
    const std::uint32_t one = kv_blocks_needed(kind, size.max_context, size.max_rows);
    spec.kv.blocks.push_back(std::max(one, size.max_sequences) + 2);
  }
  return spec;
}

}  // namespace

// Weights of the right shape and type, made of one byte pattern.
class SyntheticStage::Source final : public ShardSource {
 public:
  Result<PanelMatrix> matrix(const TensorSpec& spec) override {
    const Result<std::byte*> bytes =
        memory_for(spec.file_name, panel_matrix_bytes(spec.type, spec.rows, spec.cols));
    if (!bytes) return fail(bytes.error());
    return PanelMatrix{spec.type, spec.rows, spec.cols, *bytes};
  }
  Result<std::span<const float>> vector(const TensorSpec& spec) override {
    const std::size_t count = spec.rows * spec.cols;
    const Result<std::byte*> bytes = memory_for(spec.file_name, count * sizeof(float));
    if (!bytes) return fail(bytes.error());
    float* floats = reinterpret_cast<float*>(*bytes);
    std::fill_n(floats, count, 1.0f);
    return std::span<const float>(floats, count);
  }

 private:
  Result<std::byte*> memory_for(const std::string& name, std::size_t bytes) {
    if (const auto found = memory_.find(name); found != memory_.end()) return found->second.get();
    AlignedBytes memory = patterned(bytes);
    if (!memory) return fail(ErrorCode::OutOfMemory, "no memory to measure tensor " + name);
    return memory_.emplace(name, std::move(memory)).first->second.get();
  }
  std::map<std::string, AlignedBytes> memory_;
};

SyntheticModel repeated_layer(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                              std::uint32_t unit, std::uint32_t count) {
  SyntheticModel model{.config = config, .tensors = {}, .units = {1, count + 1}, .scale = 1.0 / count};
  model.config.num_layers = count;
  model.config.layers.assign(count, config.layers[unit - 1]);
  for (const TensorSpec& tensor : tensors) {
    if (tensor.unit != unit) continue;
    for (std::uint32_t i = 1; i <= count; ++i) {
      TensorSpec copy = tensor;
      copy.unit = i;
      if (tensor.role != TensorRole::RopeFactors) copy.file_name += "@" + std::to_string(i);
      model.tensors.push_back(std::move(copy));
    }
  }
  return model;
}

SyntheticModel vocabulary_slice(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                std::uint32_t unit, std::uint64_t most_bytes) {
  SyntheticModel model{.config = config, .tensors = tensors, .units = {unit, unit + 1}};
  std::erase_if(model.tensors, [&](const TensorSpec& tensor) { return tensor.unit != unit; });
  const std::uint64_t row_bytes = std::max<std::uint64_t>(1, model.weight_bytes() / config.vocab_size);
  const std::uint64_t blocks = std::max<std::uint64_t>(1, most_bytes / row_bytes / kHeadBlockRows);
  const auto rows =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(config.vocab_size, blocks * kHeadBlockRows));
  for (TensorSpec& tensor : model.tensors) {
    if (tensor.rows == config.vocab_size) tensor.rows = rows;
  }
  // A lookup costs what it costs, however many rows there are to choose from.
  if (unit == config.head_unit()) model.scale = static_cast<double>(config.vocab_size) / rows;
  model.config.vocab_size = rows;
  return model;
}

SyntheticStage::SyntheticStage(SyntheticModel model, const SyntheticSize& size)
    : model_(std::move(model)),
      ids_(size.max_rows, 1),
      hidden_(std::size_t{size.max_rows} * model_.config.hidden_size, 0.5f),
      source_(std::make_unique<Source>()) {}
SyntheticStage::SyntheticStage(SyntheticStage&&) noexcept = default;
SyntheticStage::~SyntheticStage() = default;

Result<SyntheticStage> SyntheticStage::open(SyntheticModel model, const SyntheticSize& size,
                                            const KernelTable& kernels, ThreadPool& pool) {
  SyntheticStage made(std::move(model), size);
  Result<std::unique_ptr<StageBackend>> stage = open_cpu_stage(
      spec_of(made.model_, size), made.model_.config, made.model_.tensors, *made.source_, kernels, pool);
  if (!stage) return fail(stage.error());
  made.stage_ = *std::move(stage);
  return made;
}

Status SyntheticStage::run(const std::vector<RowGroup>& groups) {
  std::size_t rows = 0;
  for (const RowGroup& group : groups) rows += group.num_rows;
  const std::vector<std::uint32_t> depth(groups.size(), 1);
  const std::vector<const SamplingParams*> sampling(groups.size(), nullptr);
  output_.candidates.clear();
  return stage_->run(
      {.groups = groups,
       .ids = std::span<const TokenId>(ids_).first(rows),
       .hidden = model_.units.begin == 0 ? nullptr : reinterpret_cast<const std::byte*>(hidden_.data()),
       .sampling = sampling,
       .depth = depth},
      output_);
}

}  // namespace shoal
