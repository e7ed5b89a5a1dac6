#include "cli/bench.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "base/check.h"
#include "base/checked_math.h"
#include "base/micro_batch.h"
#include "cli/bench_model.h"
#include "cli/bench_probes.h"
#include "cli/bench_store.h"
#include "model/op_times.h"

namespace shoal {
namespace {

using SteadyTime = std::chrono::steady_clock;
using Progress = std::function<void(std::size_t, std::string_view)>;

constexpr std::uint32_t kWarmUpSteps = 4;

double seconds_since(SteadyTime::time_point start) {
  return std::chrono::duration<double>(SteadyTime::now() - start).count();
}

std::uint32_t largest(const std::vector<std::uint32_t>& values) {
  return values.empty() ? 0 : *std::ranges::max_element(values);
}

BenchCapacity capacity_of(const BenchTask& task) {
  return {.max_context = task.longest(),
          .max_sequences = std::max(1u, largest(task.batches)),
          .batch_length = std::max(1u, task.decode),
          .kv_type = task.kv_type};
}

std::vector<BenchFigure> figures_of(const BenchTask& task) {
  using Kind = BenchFigure::Kind;
  std::vector<BenchFigure> figures;
  for (const std::uint32_t rows : task.prefill) figures.push_back({.kind = Kind::Prefill, .rows = rows});
  if (task.decode == 0) return figures;
  for (const std::uint32_t depth : task.depths) figures.push_back({.kind = Kind::Decode, .depth = depth});
  const bool alone_at_0 = std::ranges::count(task.depths, 0u) > 0;  // is a batch of one
  for (const std::uint32_t batch : task.batches)
    if (batch > 1 || !alone_at_0) figures.push_back({.kind = Kind::Decode, .batch = batch});
  return figures;
}

Pass pass_of(const BenchFigure& figure, const BenchTask& task) {
  if (figure.kind == BenchFigure::Kind::Prefill)
    return {.num_positions = figure.rows,
            .rows_per_step = kMaxRowsPerStep,
            .every_row_wanted = false,
            .kv_type = task.kv_type};
  return {.num_sequences = figure.batch,
          .first_position = figure.depth,
          .num_positions = task.decode,
          .kv_type = task.kv_type};
}

// Measures one variant after the other.
class Bencher {
 public:
  Bencher(const BenchTask& task, BenchReport& report, const Progress& progress)
      : task_(task), report_(report), progress_(progress) {}

  Status measure(const KernelTable& kernels, std::uint32_t threads) {
    kernels_ = &kernels;
    run_ = {.kernels = kernels.name, .threads = threads, .figures = {}};
    if (Status ok = measure_loads(); !ok) return ok;
    std::vector<BenchFigure> figures = figures_of(task_);
    if (Status ok = prepare(figures); !ok) return ok;
    // Round after round, so that a device that grows slow or is shared for a while shows in every figure's
    // spread and in none alone.
    for (std::uint32_t round = 0; round < task_.repeat; ++round)
      for (BenchFigure& figure : figures)
        if (Status ok = add_sample(figure); !ok) return ok;
    if (task_.operations)
      for (const BenchFigure& figure : figures)
        if (Status ok = add_operations(figure); !ok) return ok;
    std::ranges::move(figures, std::back_inserter(run_.figures));
    report_.runs.push_back(std::move(run_));
    model_.reset();
    saved_.clear();
    return {};
  }

 private:
  Status measure_loads() {
    if (task_.restart && !store_) {
      progress_(done_, "filling a worker's store");
      const Result<GgufFile> file = GgufFile::open(task_.model_path);
      if (!file) return fail(file.error());
      Result<BenchStore> filled = BenchStore::fill(*file, run_.threads);
      if (!filled) return fail(filled.error());
      store_.emplace(*std::move(filled));
    }
    if (task_.restart)
      if (Status ok = measure_load({.kind = BenchFigure::Kind::Restart}); !ok) return ok;
    return measure_load({.kind = BenchFigure::Kind::Load});
  }

  // Open to first token, again and again. The last model stays.
  Status measure_load(BenchFigure load) {
    for (std::uint32_t round = 0; round < task_.repeat; ++round) {
      announce(load);
      model_.reset();
      const auto start = SteadyTime::now();
      Result<BenchModel> model =
          load.kind == BenchFigure::Kind::Restart
              ? BenchModel::reopen(*store_, *kernels_, run_.threads, capacity_of(task_))
              : BenchModel::open(task_.model_path, *kernels_, run_.threads, capacity_of(task_));
      if (!model) return fail(model.error());
      model_.emplace(*std::move(model));
      if (Status ok = model_->prefill(1); !ok) return ok;
      const double took = seconds_since(start);
      const Result<Probed> probed = probe();
      if (!probed) return fail(probed.error());
      load.samples.push_back(took);
      if (task_.probes)
        load.read_shares.push_back(static_cast<double>(report_.costs.file_bytes) / took / probed->read);
    }
    run_.figures.push_back(std::move(load));
    return {};
  }

  // Fills every depth once, and runs each kind of step before it is timed.
  Status prepare(const std::vector<BenchFigure>& figures) {
    for (const BenchFigure& figure : figures) {
      model_->close_all();
      if (figure.depth > 0) {
        progress_(done_, "filling " + std::to_string(figure.depth) + " positions");
        if (Status ok = model_->prefill(figure.depth); !ok) return ok;
        Result<std::vector<std::byte>> saved = model_->save(figure.depth);
        if (!saved) return fail(saved.error());
        saved_[figure.depth] = *std::move(saved);
      }
      const std::uint32_t steps = std::min(kWarmUpSteps, task_.decode);
      Status warm = figure.kind == BenchFigure::Kind::Prefill
                        ? model_->prefill(std::min(figure.rows, kMaxRowsPerStep))
                        : model_->decode(figure.batch, figure.depth, steps);
      if (!warm) return warm;
    }
    return {};
  }

  Status add_sample(BenchFigure& figure) {
    announce(figure);
    const Result<Probed> probed = probe();
    if (!probed) return fail(probed.error());
    const Result<double> took = time(figure);
    if (!took) return fail(took.error());
    const Pass pass = pass_of(figure, task_);
    const Work work = work_of(model_->config(), report_.costs, pass);
    figure.samples.push_back(static_cast<double>(pass.num_rows()) / *took);
    if (!task_.probes) return {};
    figure.read_shares.push_back(work.bytes / *took / probed->read);
    figure.peak_shares.push_back(work.macs / *took / probed->peak);
    return {};
  }

  Status add_operations(const BenchFigure& figure) {
    OpTimes times;
    model_->stage().measure(&times);
    const Result<double> took = time(figure);
    model_->stage().measure(nullptr);
    if (!took) return fail(took.error());
    const Pass pass = pass_of(figure, task_);
    const std::array<Work, kNumOperations> work = work_by_operation(model_->config(), model_->specs(), pass);
    OperationTimes table{.title = title_of(figure), .num_tokens = pass.num_rows(), .rows = {}};
    for (std::size_t i = 0; i < kNumOperations; ++i) {
      const auto operation = static_cast<Operation>(i);
      if (const OpTimes::Entry& entry = times.of(operation); entry.calls > 0)
        table.rows.push_back({name_of(operation), seconds(entry.time), work[i]});
    }
    run_.operations.push_back(std::move(table));
    return {};
  }

  Result<double> time(const BenchFigure& figure) {
    model_->close_all();
    if (figure.depth > 0)
      if (Status ok = model_->restore(saved_.at(figure.depth)); !ok) return fail(ok.error());
    const auto start = SteadyTime::now();
    const Status ran = figure.kind == BenchFigure::Kind::Prefill
                           ? model_->prefill(figure.rows)
                           : model_->decode(figure.batch, figure.depth, task_.decode);
    const double took = seconds_since(start);
    if (!ran) return fail(ran.error());
    return took;
  }

  struct Probed {
    double read = 0;
    double peak = 0;
  };
  Result<Probed> probe() {
    if (!task_.probes) return Probed{};
    if (!probes_) {
      Result<DeviceProbes> opened = DeviceProbes::open(report_.costs.weight_bytes);
      if (!opened) return fail(opened.error());
      probes_.emplace(*std::move(opened));
    }
    const Probed probed{.read = probes_->read_bytes_per_second(model_->pool()),
                        .peak = probes_->int8_macs_per_second(*kernels_, model_->pool())};
    run_.read_bytes_per_second.push_back(probed.read);
    run_.int8_macs_per_second.push_back(probed.peak);
    return probed;
  }

  void announce(const BenchFigure& figure) {
    progress_(done_++,
              std::string(kernels_->name) + ", " + threads_text(run_.threads) + ": " + title_of(figure));
  }

  const BenchTask& task_;
  BenchReport& report_;
  const Progress& progress_;
  std::size_t done_ = 0;
  std::optional<DeviceProbes> probes_;
  std::optional<BenchStore> store_;
  // Of the variant being measured:
  const KernelTable* kernels_ = nullptr;
  BenchRun run_;
  std::optional<BenchModel> model_;
  std::map<std::uint32_t, std::vector<std::byte>> saved_;  // by depth
};

}  // namespace

std::uint32_t BenchTask::longest() const {
  const std::uint32_t decoded = decode == 0 ? 0 : largest(depths) + decode;
  return std::max({1u, largest(prefill), decoded});
}

std::size_t BenchTask::num_samples() const {
  return kernels.size() * threads.size() * ((restart ? 2 : 1) + figures_of(*this).size()) * repeat;
}

std::string problem_with(const BenchTask& task, const ModelConfig& config) {
  if (task.longest() <= config.max_seq_len) return "";
  return "this needs a context of " + std::to_string(task.longest()) + " positions; the model has " +
         std::to_string(config.max_seq_len) + " (--prefill, --depth plus --decode)";
}

Spread spread_of(std::vector<double> samples) {
  SHOAL_CHECK(!samples.empty());
  std::ranges::sort(samples);
  const std::size_t middle = samples.size() / 2;
  const double median =
      samples.size() % 2 == 1 ? samples[middle] : (samples[middle - 1] + samples[middle]) / 2;
  return {median, samples.front(), samples.back()};
}

std::string threads_text(std::uint32_t threads) {
  return std::to_string(threads) + (threads == 1 ? " thread" : " threads");
}

std::string title_of(const BenchFigure& figure) {
  if (figure.kind == BenchFigure::Kind::Load) return "load to first token";
  if (figure.kind == BenchFigure::Kind::Restart) return "restart to first token";
  if (figure.kind == BenchFigure::Kind::Prefill) return "prefill " + std::to_string(figure.rows);
  if (figure.batch > 1) return "decode, " + std::to_string(figure.batch) + " together";
  return "decode at " + std::to_string(figure.depth);
}

Result<BenchReport> run_bench(const BenchTask& task, const Progress& progress) {
  const Result<GgufFile> file = GgufFile::open(task.model_path);
  if (!file) return fail(file.error());
  const Result<ModelConfig> config = read_model_config(*file);
  if (!config) return fail(config.error());
  if (const std::string problem = problem_with(task, *config); !problem.empty())
    return fail(ErrorCode::InvalidArgument, problem);
  BenchReport report{.model_path = task.model_path,
                     .model_name = config->name,
                     .decode = task.decode,
                     .kv_type = task.kv_type,
                     .costs = model_costs(*config, tensor_specs(*config, *file)),
                     .runs = {}};
  Bencher bencher(task, report, progress);
  for (const KernelTable* kernels : task.kernels)
    for (const std::uint32_t threads : task.threads)
      if (Status ok = bencher.measure(*kernels, threads); !ok) return fail(ok.error());
  return report;
}

}  // namespace shoal
