#include "worker/profile.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "model/model_config_codec.h"
#include "worker/plan_check.h"
#include "worker/synthetic_stage.h"

namespace shoal {
namespace {

constexpr std::uint64_t kLeastWorkingSet = 24 << 20;  // where the caches are not told, or small
constexpr std::uint64_t kMostWorkingSet = 256 << 20;
constexpr std::uint64_t kShareOfMemory = 4;  // of what the device gives: no more than one in so many bytes
constexpr std::uint32_t kContextLayers = 2;  // the context of more takes too long to fill
constexpr std::uint32_t kBatchRows = 32;
constexpr std::uint32_t kContext = 1024;
constexpr double kBudgetSeconds = 0.06;  // per figure
constexpr double kLongStep = 0.03;       // of which few are enough
constexpr double kLongChunk = 0.15;      // of which one is enough, and of context half
constexpr std::size_t kMostChunks = 11;
constexpr std::size_t kFewRuns = 3;
constexpr std::size_t kLeastRuns = 5;
constexpr std::size_t kMostRuns = 40;

double seconds_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

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

// Seconds of one step, each on the next copy, after some that wake threads and bring in what the caches will
// hold.
Result<double> time_step(std::vector<SyntheticStage>& copies, const std::vector<RowGroup>& groups) {
  Status ran;
  std::size_t turn = 0;
  const auto once = [&] {
    SyntheticStage& stage = copies[turn++ % copies.size()];
    return seconds_of([&] { ran = stage.run(groups); });
  };
  double first = once();
  for (std::size_t i = 1; ran && i < copies.size(); ++i) first = once();
  const std::size_t least = first > kLongStep ? kFewRuns : kLeastRuns;
  std::vector<double> times;
  double total = 0;
  while (ran && times.size() < kMostRuns && (total < kBudgetSeconds || times.size() < least)) {
    times.push_back(once());
    total += times.back();
  }
  if (!ran) return fail(ran.error());
  return median(std::move(times));
}

// How many positions a row at `position` attends to.
double attended(std::uint32_t window, double position) {
  return window == 0 ? position : std::min<double>(window, position);
}

// What context adds. It depends on the attention's shape alone, so layers of other types share it.
struct ContextCosts {
  double per_1k = 0;
  double chunk = 0;  // the first rows of a prompt
  double chunk_per_1k = 0;
};

class Profiler {
 public:
  Profiler(const ModelConfig& config, const std::vector<TensorSpec>& tensors, const KernelTable& kernels,
           ThreadPool& pool, std::uint64_t working_set_bytes)
      : config_(config), tensors_(tensors), kernels_(kernels), pool_(pool) {
    // The model as if all its layers were as large as the largest that is measured.
    std::uint64_t layer = 1;
    for (std::uint32_t unit = 1; unit < config.head_unit(); ++unit) layer = std::max(layer, bytes_of(unit));
    working_set_ = std::min(working_set_bytes, layer * config.num_layers + bytes_of(config.head_unit()));
  }

  Result<LayerProfile> measure(std::uint32_t unit) {
    const bool is_layer = unit != 0 && unit != config_.head_unit();
    return is_layer ? layer(unit) : end_unit(unit);
  }

 private:
  Result<LayerProfile> layer(std::uint32_t unit) {
    const std::uint64_t bytes = std::max<std::uint64_t>(1, bytes_of(unit));
    const auto count = static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(working_set_ / bytes, 1, std::max(config_.num_layers, 1u)));
    LayerProfile profile{.unit = unit};
    if (Status timed = time_batches(repeated_layer(config_, tensors_, unit, count), 1, kBatchRows, profile);
        !timed)
      return fail(timed.error());
    const Result<double> chunk = add_context(unit, profile);
    if (!chunk) return fail(chunk.error());
    return profile;
  }

  // The embedding or the head.
  Result<LayerProfile> end_unit(std::uint32_t unit) {
    LayerProfile profile{.unit = unit};
    const bool is_embedding = unit == 0;
    const std::uint32_t most_rows = is_embedding ? std::max(chunk_rows(), kBatchRows) : kBatchRows;
    const SyntheticModel model = vocabulary_slice(config_, tensors_, unit, working_set_);
    const std::uint64_t bytes = std::max<std::uint64_t>(1, model.weight_bytes());
    const auto copies =
        is_embedding
            ? 1
            : static_cast<std::size_t>(std::max<std::uint64_t>(1, (working_set_ + bytes / 2) / bytes));
    if (Status timed = time_batches(model, copies, most_rows, profile); !timed) return fail(timed.error());
    return profile;
  }

  std::uint64_t bytes_of(std::uint32_t unit) const { return shard_bytes(tensors_, {unit, unit + 1}); }
  std::uint32_t context() const { return std::min(kContext, config_.max_seq_len); }
  std::uint32_t chunk_rows() const { return std::min(kProfileChunkRows, context()); }
  double per_whole_chunk() const { return static_cast<double>(kProfileChunkRows) / chunk_rows(); }

  // One row, then one of each of many sequences; a whole chunk where the stage takes so many rows.
  Status time_batches(const SyntheticModel& model, std::size_t num_copies, std::uint32_t most_rows,
                      LayerProfile& profile) {
    Result<std::vector<SyntheticStage>> copies = open(
        model, num_copies, {.max_rows = most_rows, .max_context = most_rows, .max_sequences = kBatchRows});
    if (!copies) return fail(copies.error());
    const Result<double> one = time_step(*copies, one_sequence(1, 0));
    if (!one) return fail(one.error());
    const Result<double> many = time_step(*copies, many_sequences(kBatchRows));
    if (!many) return fail(many.error());
    profile.seconds_batch1 = *one * model.scale;
    profile.seconds_batch32 = *many * model.scale;
    if (most_rows == kBatchRows) return {};
    const Result<double> chunk = time_step(*copies, one_sequence(chunk_rows(), 0));
    if (!chunk) return fail(chunk.error());
    profile.seconds_chunk = *chunk * model.scale * per_whole_chunk();
    return {};
  }

  Result<std::vector<SyntheticStage>> open(const SyntheticModel& model, std::size_t num_copies,
                                           const SyntheticSize& size) {
    std::vector<SyntheticStage> copies;
    for (std::size_t i = 0; i < num_copies; ++i) {
      Result<SyntheticStage> stage = SyntheticStage::open(model, size, kernels_, pool_);
      if (!stage) return fail(stage.error());
      copies.push_back(*std::move(stage));
    }
    return copies;
  }

  // The chunk's time is the layer's own, what context adds is shared. Returns the chunk's time.
  Result<double> add_context(std::uint32_t unit, LayerProfile& profile) {
    const std::uint32_t window = config_.layers[unit - 1].window;
    Result<std::vector<SyntheticStage>> stage =
        open(repeated_layer(config_, tensors_, unit, kContextLayers), 1,
             {.max_rows = chunk_rows(), .max_context = context(), .max_sequences = 1});
    if (!stage) return fail(stage.error());
    const Result<double> chunk = first_chunk(stage->front());
    if (!chunk) return fail(chunk.error());
    profile.seconds_chunk = *chunk / kContextLayers * per_whole_chunk();
    auto known = context_costs_.find(window);
    if (known == context_costs_.end()) {
      const Result<ContextCosts> costs = time_context(*stage, window, *chunk);
      if (!costs) return fail(costs.error());
      known = context_costs_.emplace(window, *costs).first;
    }
    profile.seconds_per_1k_context = known->second.per_1k;
    profile.chunk_seconds_per_1k_context = known->second.chunk_per_1k;
    return chunk;
  }

  Result<double> first_chunk(SyntheticStage& stage) const {
    Status ran = stage.run(one_sequence(1, 0));
    std::vector<double> times;
    double total = 0;
    const auto wants_more = [&] {
      return total < kLongChunk || (times.size() < kFewRuns && times.front() < kLongChunk);
    };
    while (ran && times.size() < kMostChunks && wants_more()) {
      times.push_back(seconds_of([&] { ran = stage.run(one_sequence(chunk_rows(), 0)); }));
      total += times.back();
    }
    if (!ran) return fail(ran.error());
    return median(std::move(times));
  }

  // Fills a context chunk by chunk, then takes single rows at its end and at its beginning.
  Result<ContextCosts> time_context(std::vector<SyntheticStage>& stage, std::uint32_t window,
                                    double chunk) const {
    const std::uint32_t rows = chunk_rows();
    const std::uint32_t filled =
        (chunk > kLongChunk ? std::min(2 * rows, context()) : context()) / rows * rows;
    double last = chunk;
    Status ran;
    for (std::uint32_t at = rows; ran && at < filled; at += rows)
      last = seconds_of([&] { ran = stage.front().run(one_sequence(rows, at)); });
    if (!ran) return fail(ran.error());
    const Result<double> deep = time_step(stage, one_sequence(1, filled - 1));
    if (!deep) return fail(deep.error());
    const Result<double> shallow = time_step(stage, one_sequence(1, 0));
    if (!shallow) return fail(shallow.error());
    ContextCosts costs;
    costs.per_1k = std::max(0.0, *deep - *shallow) / kContextLayers * 1000 / attended(window, filled - 1);
    const double more = attended(window, filled - rows / 2.0) - attended(window, rows / 2.0);
    if (more > 0) costs.chunk_per_1k = std::max(0.0, last - chunk) / kContextLayers / rows * 1000 / more;
    return costs;
  }

  const ModelConfig& config_;
  const std::vector<TensorSpec>& tensors_;
  const KernelTable& kernels_;
  ThreadPool& pool_;
  std::uint64_t working_set_ = 0;
  std::map<std::uint32_t, ContextCosts> context_costs_;  // by window
};

}  // namespace

std::uint64_t profile_working_set(std::uint64_t cache_bytes, std::uint64_t memory_bytes) {
  const std::uint64_t beyond = std::clamp(2 * cache_bytes, kLeastWorkingSet, kMostWorkingSet);
  return std::min(beyond, memory_bytes / kShareOfMemory);
}

Result<ProfileReport> measure_profile(const ProfileRequest& request, const KernelTable& kernels,
                                      ThreadPool& pool, std::uint64_t working_set_bytes) {
  const Result<ModelConfig> config = parse_model_config(request.config);
  if (!config) return fail(config.error().during("profiling"));
  const Result<std::vector<TensorSpec>> tensors = tensor_specs_of(request.tensors);
  if (!tensors) return fail(tensors.error().during("profiling"));
  ProfileReport report{
      .model = request.model, .units = {}, .read_bytes_per_second = measure_read_bandwidth(pool)};
  std::vector<std::uint32_t> units;
  for (const TensorSpec& tensor : *tensors) {
    if (tensor.unit >= config->num_units())
      return fail(ErrorCode::InvalidArgument,
                  "profiling: the model has no unit " + std::to_string(tensor.unit));
    if (units.empty() || units.back() != tensor.unit) units.push_back(tensor.unit);
  }
  Profiler profiler(*config, *tensors, kernels, pool, working_set_bytes);
  for (const std::uint32_t unit : units) {
    const Result<LayerProfile> profile = profiler.measure(unit);
    if (!profile) return fail(profile.error().during("profiling unit " + std::to_string(unit)));
    report.units.push_back(*profile);
  }
  return report;
}

}  // namespace shoal
