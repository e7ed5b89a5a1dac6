#include "worker/profile.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>

#include "model/model_config_codec.h"
#include "model/stage_backend.h"
#include "worker/plan_check.h"

namespace shoal {
namespace {

constexpr std::uint64_t kWorkingSetBytes = 32
                                           << 20;  // beyond private caches, small enough for a small device
constexpr std::uint64_t kReadBytes = 48 << 20;     // the same, for plain reads
constexpr std::size_t kMaxCopies = 12;
constexpr std::uint32_t kContext = 1024;
constexpr std::uint32_t kPrefillRows = 64;
constexpr std::uint32_t kBatchRows = 32;
constexpr double kBudgetSeconds = 0.12;  // per figure
constexpr int kMaxRuns = 40;
constexpr std::byte kWeightPattern{0x2c};  // as f16 0.066, as f32 2e-12, as int8 44: tame in every type

using AlignedBytes = std::unique_ptr<std::byte, decltype(&std::free)>;

AlignedBytes patterned(std::size_t bytes) {
  AlignedBytes memory(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), &std::free);
  if (memory) std::memset(memory.get(), static_cast<int>(kWeightPattern), bytes);
  return memory;
}

// Weights of the right shape and type, made of one byte pattern.
class SyntheticSource final : public ShardSource {
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
    AlignedBytes memory = patterned(bytes);
    if (!memory) return fail(ErrorCode::OutOfMemory, "no memory to measure tensor " + name);
    return memory_.insert_or_assign(name, std::move(memory)).first->second.get();
  }
  std::map<std::string, AlignedBytes> memory_;
};

std::vector<RowGroup> one_sequence(std::uint32_t rows, std::uint32_t position) {
  return {{.sequence = SequenceId{1},
           .step = StepNumber{1},
           .first_position = position,
           .num_rows = rows,
           .flags = kWantsLastRow}};
}
// A decode step of many streams: the head answers every one of them.
std::vector<RowGroup> many_sequences(std::uint32_t count) {
  std::vector<RowGroup> groups;
  for (std::uint32_t i = 0; i < count; ++i) {
    groups.push_back(
        {.sequence = SequenceId{1 + i}, .step = StepNumber{1}, .num_rows = 1, .flags = kWantsLastRow});
  }
  return groups;
}

KvBudget blocks_of_a_batch(const ModelConfig& config) {
  return {std::vector<std::uint32_t>(kv_kinds(config).size(), kBatchRows)};
}

// The same stage several times over, each with weights of its own, visited in turn.
class StageCopies {
 public:
  static Result<StageCopies> open(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                  std::uint32_t unit, const KernelTable& kernels, ThreadPool& pool,
                                  EmulatedSpeed speed) {
    StageCopies copies(config, unit, speed);
    const std::uint64_t bytes = std::max<std::uint64_t>(1, shard_bytes(tensors, {unit, unit + 1})) +
                                cpu_stage_scratch_bytes(copies.spec(), config, pool.num_threads()) +
                                kv_bytes(config, blocks_of_a_batch(config), {unit, unit + 1});
    const std::size_t count = std::clamp<std::size_t>(kWorkingSetBytes / bytes, 1, kMaxCopies);
    for (std::size_t i = 0; i < count; ++i) {
      copies.sources_.push_back(std::make_unique<SyntheticSource>());
      Result<std::unique_ptr<StageBackend>> stage =
          open_cpu_stage(copies.spec(), config, tensors, *copies.sources_.back(), kernels, pool);
      if (!stage) return fail(stage.error());
      copies.stages_.push_back(*std::move(stage));
    }
    return copies;
  }

  // Median seconds of a step of these groups, each run on the next copy. Every copy must hold the positions
  // before.
  Result<double> time_step(const std::vector<RowGroup>& groups) {
    std::vector<double> times;
    double total = 0;
    for (int run = 0; run < kMaxRuns && (total < kBudgetSeconds || run < 3); ++run) {
      const auto start = std::chrono::steady_clock::now();
      if (Status ran = run_step(*stages_[next_++ % stages_.size()], groups); !ran) return fail(ran.error());
      times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
      total += times.back();
    }
    std::ranges::nth_element(times, times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2));
    return times[times.size() / 2];
  }

  Status fill_context(std::uint32_t positions) {
    for (const std::unique_ptr<StageBackend>& stage : stages_) {
      for (std::uint32_t at = 0; at < positions; at += kPrefillRows) {
        if (Status ran = run_step(*stage, one_sequence(kPrefillRows, at)); !ran) return ran;
      }
    }
    return {};
  }
  void keep_only_one() {
    stages_.resize(1);
    stages_.front()->close_all();
  }

 private:
  StageCopies(const ModelConfig& config, std::uint32_t unit, EmulatedSpeed speed)
      : config_(config),
        unit_(unit),
        speed_(speed),
        ids_(kPrefillRows, 1),
        hidden_(kPrefillRows * config.hidden_size, 0.5f) {}

  StageSpec spec() const {
    StageSpec spec{.units = {unit_, unit_ + 1},
                   .head_blocks = {},
                   .max_context = kContext + kPrefillRows,
                   .max_rows = kPrefillRows,
                   .max_sequences = kBatchRows,
                   .kv = {}};
    if (unit_ == config_.head_unit()) {
      spec.head_blocks = {0, (config_.vocab_size + kHeadBlockRows - 1) / kHeadBlockRows};
    }
    for (const KvKind& kind : kv_kinds(config_)) {
      spec.kv.blocks.push_back(std::max(kv_blocks_needed(kind, spec.max_context, kPrefillRows), kBatchRows) +
                               2);
    }
    return spec;
  }

  Status run_step(StageBackend& stage, const std::vector<RowGroup>& groups) {
    std::size_t rows = 0;
    for (const RowGroup& group : groups) rows += group.num_rows;
    const std::vector<std::uint32_t> depth(groups.size(), 1);
    const std::vector<const SamplingParams*> sampling(groups.size(), nullptr);
    output_.candidates.clear();
    const auto start = std::chrono::steady_clock::now();
    Status ran =
        stage.run({.groups = groups,
                   .ids = std::span<const TokenId>(ids_).first(rows),
                   .hidden = unit_ == 0 ? nullptr : reinterpret_cast<const std::byte*>(hidden_.data()),
                   .sampling = sampling,
                   .depth = depth},
                  output_);
    speed_.make_up_for(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return ran;
  }

  ModelConfig config_;
  std::uint32_t unit_;
  EmulatedSpeed speed_;
  std::vector<TokenId> ids_;
  std::vector<float> hidden_;
  std::vector<std::unique_ptr<SyntheticSource>> sources_;
  std::vector<std::unique_ptr<StageBackend>> stages_;
  StageOutput output_;
  std::size_t next_ = 0;
};

// Embedding and head are linear in the vocabulary: a slice of them stands for the whole, so that a small
// device can measure it.
struct Slice {
  ModelConfig config;
  std::vector<TensorSpec> tensors;
  double scale = 1;  // whole / slice
};

Slice slice_vocabulary(const ModelConfig& config, std::vector<TensorSpec> tensors, std::uint32_t unit) {
  Slice slice{config, std::move(tensors), 1};
  const bool is_head = unit == config.head_unit();
  if (unit != 0 && !is_head) return slice;
  const std::uint64_t row_bytes =
      std::max<std::uint64_t>(1, shard_bytes(slice.tensors, {unit, unit + 1}) / config.vocab_size);
  const std::uint64_t blocks = std::max<std::uint64_t>(1, kWorkingSetBytes / row_bytes / kHeadBlockRows);
  const auto rows =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(config.vocab_size, blocks * kHeadBlockRows));
  for (TensorSpec& tensor : slice.tensors) {
    if (tensor.rows == config.vocab_size) tensor.rows = rows;
  }
  if (is_head) slice.scale = static_cast<double>(config.vocab_size) / rows;
  slice.config.vocab_size = rows;
  return slice;
}

Result<LayerProfile> profile_unit(const ModelConfig& config, const std::vector<TensorSpec>& tensors,
                                  std::uint32_t unit, const KernelTable& kernels, ThreadPool& pool,
                                  EmulatedSpeed speed) {
  const Slice slice = slice_vocabulary(config, tensors, unit);
  Result<StageCopies> copies = StageCopies::open(slice.config, slice.tensors, unit, kernels, pool, speed);
  if (!copies) return fail(copies.error());
  LayerProfile profile{.unit = unit};
  const Result<double> one = copies->time_step(one_sequence(1, 0));
  if (!one) return fail(one.error());
  profile.seconds_batch1 = *one * slice.scale;
  const Result<double> many = copies->time_step(many_sequences(kBatchRows));
  if (!many) return fail(many.error());
  profile.seconds_batch32 = *many * slice.scale;
  if (unit == 0 || unit == config.head_unit()) return profile;

  copies->keep_only_one();
  if (Status filled = copies->fill_context(kContext); !filled) return fail(filled.error());
  const Result<double> deep = copies->time_step(one_sequence(1, kContext - 1));
  if (!deep) return fail(deep.error());
  const Result<double> shallow = copies->time_step(one_sequence(1, 0));
  if (!shallow) return fail(shallow.error());
  profile.seconds_per_1k_context = std::max(0.0, *deep - *shallow) * 1000.0 / kContext;
  return profile;
}

}  // namespace

double measure_read_bandwidth(ThreadPool& pool) {
  const std::size_t bytes = kReadBytes;
  const AlignedBytes memory = patterned(bytes);
  if (!memory) return 0;
  const auto* words = reinterpret_cast<const std::uint64_t*>(memory.get());
  const std::size_t slices = pool.num_threads() * 4;
  const std::size_t per_slice = bytes / sizeof(std::uint64_t) / slices;
  std::vector<std::uint64_t> sums(slices);
  double best = 0;
  for (int run = 0; run < 4; ++run) {
    const auto start = std::chrono::steady_clock::now();
    pool.parallel_for(slices, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t s = begin; s < end; ++s) {
        std::array<std::uint64_t, 8> lanes{};  // independent sums, so that the adds do not hide the loads
        const std::uint64_t* from = words + s * per_slice;
        for (std::size_t i = 0; i + 8 <= per_slice; i += 8) {
          for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += from[i + lane];
        }
        for (const std::uint64_t lane : lanes) sums[s] += lane;
      }
    });
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(bytes) / took);
  }
  return best;
}

Result<ProfileReport> measure_profile(const ProfileRequest& request, const KernelTable& kernels,
                                      ThreadPool& pool, EmulatedSpeed speed) {
  const Result<ModelConfig> config = parse_model_config(request.config);
  if (!config) return fail(config.error().during("profiling"));
  const Result<std::vector<TensorSpec>> tensors = tensor_specs_of(request.tensors);
  if (!tensors) return fail(tensors.error().during("profiling"));
  ProfileReport report{.model = request.model,
                       .units = {},
                       .read_bytes_per_second = speed.of_rate(measure_read_bandwidth(pool))};
  std::vector<std::uint32_t> units;
  for (const TensorSpec& tensor : *tensors) {
    if (units.empty() || units.back() != tensor.unit) units.push_back(tensor.unit);
  }
  for (const std::uint32_t unit : units) {
    const Result<LayerProfile> profile = profile_unit(*config, *tensors, unit, kernels, pool, speed);
    if (!profile) return fail(profile.error().during("profiling unit " + std::to_string(unit)));
    report.units.push_back(*profile);
  }
  return report;
}

}  // namespace shoal
