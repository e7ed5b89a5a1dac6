#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "cli/bench_costs.h"
#include "kernels/kernel_table.h"

namespace shoal {

// What to measure: every kernel variant with every number of threads.
struct BenchTask {
  std::string model_path;
  std::vector<const KernelTable*> kernels;
  std::vector<std::uint32_t> threads;
  std::vector<std::uint32_t> prefill;  // rows
  std::vector<std::uint32_t> depths;   // positions before a decode of one sequence
  std::vector<std::uint32_t> batches;  // sequences that decode together, from position 0
  KvType kv_type = KvType::F16;
  std::uint32_t decode = 128;  // steps; 0: neither depths nor batches are measured
  std::uint32_t repeat = 5;    // >= 1
  bool probes = true;          // what the device can do, measured beside every sample
  bool operations = false;     // also where a pass's time goes
  bool restart = false;        // also the load from a worker's store

  std::uint32_t longest() const;    // positions that any of it needs; at least 1
  std::size_t num_samples() const;  // of all figures
};

// Why the task cannot be run on this model; "" if it can.
std::string problem_with(const BenchTask& task, const ModelConfig& config);

struct Spread {
  double median = 0;
  double low = 0;
  double high = 0;
};
Spread spread_of(std::vector<double> samples);  // not empty

// One measurement, repeated.
struct BenchFigure {
  enum class Kind : std::uint8_t { Load, Restart, Prefill, Decode };
  Kind kind = Kind::Load;
  std::uint32_t rows = 0;   // of the prompt
  std::uint32_t depth = 0;  // positions before the decode
  std::uint32_t batch = 1;  // sequences

  std::vector<double> samples;  // tokens/s, of all sequences together; of loads: seconds
  // Of what the device could do, as the probe just before the sample says; empty without probes.
  std::vector<double> read_shares;  // of its read bandwidth
  std::vector<double> peak_shares;  // of its int8 multiply-adds; none of loads

  bool is_load() const { return kind == Kind::Load || kind == Kind::Restart; }
};
std::string title_of(const BenchFigure& figure);  // "prefill 512", "decode at 1024", "decode, 16 together"
std::string threads_text(std::uint32_t threads);  // "1 thread"

// Where one more pass of a figure spent its time.
struct OperationTimes {
  struct Row {
    std::string_view name;
    double seconds = 0;
    Work work;
  };
  std::string title;  // the figure's
  std::uint64_t num_tokens = 0;
  std::vector<Row> rows;  // in the order of a step, without those that did not occur
};

// One kernel variant with one number of threads.
struct BenchRun {
  std::string kernels;
  std::uint32_t threads = 0;
  std::vector<BenchFigure> figures;
  std::vector<double> read_bytes_per_second;  // the probes' samples
  std::vector<double> int8_macs_per_second;
  std::vector<OperationTimes> operations;  // if asked for
};

struct BenchReport {
  std::string model_path;
  std::string model_name;
  std::uint32_t decode = 0;  // steps
  KvType kv_type = KvType::F16;
  ModelCosts costs;
  std::vector<BenchRun> runs;
};

// progress(samples done, what comes next). Blocks until all is measured. Errors: InvalidArgument (the model's
// context is too short), what BenchModel::open says.
Result<BenchReport> run_bench(const BenchTask& task,
                              const std::function<void(std::size_t, std::string_view)>& progress);

}  // namespace shoal
