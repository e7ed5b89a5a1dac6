#include "cli/bench.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/bench_tables.h"
#include "tests/cli/scratch.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

const auto kSilent = [](std::size_t, std::string_view) {};

BenchTask small_task(const TinyModel& model) {
  return {.model_path = model.path(),
          .kernels = {&scalar_kernels()},
          .threads = {1},
          .prefill = {5},
          .depths = {0, 40},
          .batches = {1, 3},
          .decode = 6,
          .repeat = 2,
          .probes = false};
}

std::vector<std::string> titles_of(const BenchRun& run) {
  std::vector<std::string> titles;
  for (const BenchFigure& figure : run.figures) titles.push_back(title_of(figure));
  return titles;
}

bool all_positive(const std::vector<double>& values) {
  return std::ranges::all_of(values, [](double value) { return std::isfinite(value) && value > 0; });
}

TEST_CASE("a token's costs are every matrix once, a tied head's among them and the embedding's lookup not") {
  TinyModelOptions options;
  options.types = TinyWeightTypes::all(WeightType::F32);
  const std::uint64_t hidden = options.hidden_size;
  const std::uint64_t kv = std::uint64_t{options.num_kv_heads} * options.head_dim;
  const std::uint64_t layer = 2 * hidden * hidden + 2 * hidden * kv + 3 * hidden * options.intermediate_size;
  for (const bool tied : {true, false}) {
    options.tied_head = tied;
    const TinyModel model(1, options);
    const ModelCosts costs = model_costs(model.config(), model.specs());
    CHECK(costs.layer_macs == options.num_layers * layer);
    CHECK(costs.head_macs == std::uint64_t{options.vocab_size} * hidden);
    CHECK(costs.file_bytes > 4 * (costs.layer_macs + costs.head_macs * (tied ? 1 : 2)));
    CHECK(costs.weight_bytes == shard_bytes(model.specs(), {1, model.config().num_units()}));
    CHECK((costs.stored_bytes == costs.weight_bytes) == tied);
  }
}

TEST_CASE("a pass reads weights once a step and what each step's last row sees") {
  const TinyModel model(2);
  const ModelConfig& config = model.config();
  const ModelCosts costs = model_costs(config, model.specs());
  const double kv = static_cast<double>(config.kv_shape(KvType::F16).position_bytes() * config.num_layers);
  const auto weights = static_cast<double>(costs.weight_bytes);

  // Positions 10, 11, 12 of two sequences, one row a step: 11, 12 and 13 positions seen.
  const Pass decode{.num_sequences = 2, .first_position = 10, .num_positions = 3};
  const Work decoded = work_of(config, costs, decode);
  CHECK(decoded.bytes == 3 * weights + 2 * (11 + 12 + 13) * kv);
  CHECK(decoded.macs == static_cast<double>(6 * (costs.layer_macs + costs.head_macs)));

  // Heads of 16 dimensions: 18 bytes for 32.
  Pass in_q8 = decode;
  in_q8.kv_type = KvType::Q8;
  CHECK(work_of(config, costs, in_q8).bytes == 3 * weights + 2 * (11 + 12 + 13) * kv * 18 / 32);
  CHECK(work_of(config, costs, in_q8).macs == decoded.macs);

  // Seven rows by four: the steps end having seen four and seven; the last row alone wants a token.
  const Pass prefill{.num_positions = 7, .rows_per_step = 4, .every_row_wanted = false};
  const Work filled = work_of(config, costs, prefill);
  CHECK(filled.bytes == 2 * weights + (4 + 7) * kv);
  CHECK(filled.macs == static_cast<double>(7 * costs.layer_macs + costs.head_macs));
}

TEST_CASE("a window bounds what a row sees") {
  TinyModelOptions options = TinyModelOptions::for_architecture(Architecture::Gemma3);
  const TinyModel model(3, options);
  const ModelConfig& config = model.config();
  std::uint64_t seen = 0;
  for (const LayerConfig& layer : config.layers) seen += layer.window == 0 ? 101 : layer.window;
  REQUIRE(seen < 101 * config.num_layers);
  const ModelCosts costs = model_costs(config, model.specs());
  const Work work = work_of(config, costs, {.first_position = 100});
  CHECK(work.bytes ==
        static_cast<double>(costs.weight_bytes + seen * config.kv_shape(KvType::F16).position_bytes()));
}

TEST_CASE("the operations' work adds up to the pass's, second terms and attention aside") {
  const TinyModel model(4, TinyModelOptions::for_architecture(Architecture::Qwen3));
  const ModelCosts costs = model_costs(model.config(), model.specs());
  const Pass pass{.num_sequences = 3, .first_position = 4, .num_positions = 5};
  const auto by_operation = work_by_operation(model.config(), model.specs(), pass);
  double macs = 0;
  for (std::size_t i = 0; i < kNumOperations; ++i) {
    const auto operation = static_cast<Operation>(i);
    if (operation != Operation::SecondTerms && operation != Operation::Attention)
      macs += by_operation[i].macs;
  }
  CHECK(macs == work_of(model.config(), costs, pass).macs);
  CHECK(by_operation[static_cast<std::size_t>(Operation::Attention)].macs > 0);
  CHECK(by_operation[static_cast<std::size_t>(Operation::SecondTerms)].macs > 0);
}

TEST_CASE("a spread is the median of the samples between the least and the greatest") {
  const Spread odd = spread_of({5, 1, 3});
  CHECK(odd.median == 3);
  CHECK(odd.low == 1);
  CHECK(odd.high == 5);
  CHECK(spread_of({4, 1, 2, 9}).median == 3);
  CHECK(spread_of({7}).median == 7);
}

TEST_CASE("every figure of a task is measured as often as asked, a batch of one beside depth 0 once") {
  const TinyModel model(5);
  BenchTask task = small_task(model);
  std::size_t last_done = 0;
  const Result<BenchReport> report =
      run_bench(task, [&](std::size_t done, std::string_view) { last_done = std::max(last_done, done); });
  REQUIRE(report);
  REQUIRE(report->runs.size() == 1);
  CHECK(titles_of(report->runs[0]) == std::vector<std::string>{"load to first token", "prefill 5",
                                                               "decode at 0", "decode at 40",
                                                               "decode, 3 together"});
  for (const BenchFigure& figure : report->runs[0].figures) {
    CHECK(figure.samples.size() == 2);
    CHECK(all_positive(figure.samples));
    CHECK(figure.read_shares.empty());
    CHECK(figure.peak_shares.empty());
  }
  CHECK(task.num_samples() == 10);
  CHECK(last_done == 9);  // before the last sample
}

TEST_CASE(
    "a restart from a worker's store is measured beside the load from the file, and leaves nothing behind") {
  const ScratchFolder cache;
  const ScopedVariable there("XDG_CACHE_HOME", cache.path());
  for (const bool tied : {true, false}) {
    TinyModelOptions options;
    options.tied_head = tied;
    const TinyModel model(12, options);
    BenchTask task = small_task(model);
    task.restart = true;
    const Result<BenchReport> report = run_bench(task, kSilent);
    if (!report) FAIL(report.error().message());
    const std::vector<BenchFigure>& figures = report->runs[0].figures;
    CHECK(title_of(figures[0]) == "restart to first token");
    CHECK(title_of(figures[1]) == "load to first token");
    CHECK(figures[0].samples.size() == 2);
    CHECK(task.num_samples() == 12);
    CHECK(std::filesystem::is_empty(cache.path() + "/shoal"));
  }
}

TEST_CASE("nothing is decoded or filled that was not asked for") {
  const TinyModel model(6);
  BenchTask task = small_task(model);
  task.depths = {};
  CHECK(titles_of(run_bench(task, kSilent)->runs[0]) ==
        std::vector<std::string>{"load to first token", "prefill 5", "decode at 0", "decode, 3 together"});
  task.decode = 0;
  CHECK(titles_of(run_bench(task, kSilent)->runs[0]) ==
        std::vector<std::string>{"load to first token", "prefill 5"});
  task.prefill = {};
  CHECK(titles_of(run_bench(task, kSilent)->runs[0]) == std::vector<std::string>{"load to first token"});
}

TEST_CASE("each kernel variant is measured with each number of threads, beside what the device can do") {
  const TinyModel model(7);
  BenchTask task = small_task(model);
  task.kernels = runnable_kernels();
  task.threads = {1, 2};
  task.repeat = 1;
  task.depths = {0};
  task.batches = {};
  task.probes = true;
  const Result<BenchReport> report = run_bench(task, kSilent);
  REQUIRE(report);
  std::set<std::pair<std::string, std::uint32_t>> variants;
  for (const BenchRun& run : report->runs) {
    CAPTURE(run.kernels);
    variants.emplace(run.kernels, run.threads);
    CHECK(run.read_bytes_per_second.size() == 3);
    CHECK(all_positive(run.read_bytes_per_second));
    CHECK(all_positive(run.int8_macs_per_second));
    for (const BenchFigure& figure : run.figures) {
      CHECK(figure.read_shares.size() == 1);
      CHECK(all_positive(figure.read_shares));
      CHECK(figure.peak_shares.size() == (figure.kind == BenchFigure::Kind::Load ? 0 : 1));
      CHECK(all_positive(figure.peak_shares));
    }
  }
  CHECK(variants.size() == 2 * task.kernels.size());
}

TEST_CASE(
    "a model with windows decodes at a depth again and again, though windows have let go of what was "
    "before") {
  const TinyModel model(8, TinyModelOptions::for_architecture(Architecture::Gemma3));
  BenchTask task = small_task(model);
  task.prefill = {};
  task.batches = {};
  task.depths = {300};
  task.decode = 100;
  task.repeat = 3;
  const Result<BenchReport> report = run_bench(task, kSilent);
  REQUIRE(report);
  CHECK(report->runs[0].figures.back().samples.size() == 3);
}

TEST_CASE("prompts longer than a step and every size of batch fit the stage that is opened for them") {
  const TinyModel model(9);
  BenchTask task = small_task(model);
  task.repeat = 1;
  task.prefill = {1, 513, 1100};
  task.depths = {600};
  task.batches = {32};
  task.decode = 33;
  const Result<BenchReport> report = run_bench(task, kSilent);
  if (!report) FAIL(report.error().message());
  CHECK(report->runs[0].figures.size() == 6);
}

TEST_CASE("a task beyond the model's context is refused with both numbers") {
  TinyModelOptions options;
  options.max_seq_len = 100;
  const TinyModel model(10, options);
  BenchTask task = small_task(model);
  task.depths = {0, 95};  // and 6 more
  const Result<BenchReport> report = run_bench(task, kSilent);
  REQUIRE_FALSE(report);
  CHECK(report.error().code() == ErrorCode::InvalidArgument);
  CHECK(report.error().message().find("101") != std::string::npos);
  CHECK(report.error().message().find("100") != std::string::npos);
  task.depths = {0, 94};
  CHECK(run_bench(task, kSilent));
}

TEST_CASE("operations are timed for each figure, and people and programs are told the same") {
  const TinyModel model(11);
  BenchTask task = small_task(model);
  task.operations = true;
  task.probes = true;
  const Result<BenchReport> report = run_bench(task, kSilent);
  REQUIRE(report);
  const BenchRun& run = report->runs[0];
  REQUIRE(run.operations.size() == 4);
  for (const OperationTimes& times : run.operations) {
    CAPTURE(times.title);
    CHECK(times.rows.size() >= 10);
    for (const OperationTimes::Row& row : times.rows) CHECK(row.seconds >= 0);
  }
  CHECK(run.operations[0].num_tokens == 5);
  CHECK(run.operations[3].num_tokens == 18);

  const nlohmann::json json = nlohmann::json::parse(bench_json(*report));
  CHECK(json["runs"][0]["kernels"] == "scalar");
  CHECK(json["runs"][0]["figures"].size() == run.figures.size());
  const std::string text = bench_text(*report);
  for (std::size_t i = 0; i < run.figures.size(); ++i) {
    const nlohmann::json& figure = json["runs"][0]["figures"][i];
    CHECK(figure["title"] == title_of(run.figures[i]));
    CHECK(figure["median"] == spread_of(run.figures[i].samples).median);
    CHECK(figure["samples"] == run.figures[i].samples);
    CHECK(text.find(title_of(run.figures[i])) != std::string::npos);
  }
  CHECK(json["runs"][0]["operations"].size() == 4);
  CHECK(text.find("scalar, 1 thread ") != std::string::npos);
  CHECK(text.find("gate up") != std::string::npos);
}

}  // namespace
}  // namespace shoal
