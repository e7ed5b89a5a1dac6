#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/micro_batch.h"
#include "cli/bench.h"
#include "cli/bench_tables.h"
#include "cli/commands.h"
#include "cli/kv_type_option.h"
#include "cli/models.h"
#include "cli/progress_bar.h"
#include "cli/server_options.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMaxPositions = 1 << 20;
constexpr int kMaxThreads = 1024;

struct Arguments {
  std::string model = "default";
  std::vector<std::string> kernels = {"auto"};
  std::vector<std::uint32_t> threads;
  std::vector<std::uint32_t> prefill = {128, 512, 2048};
  std::vector<std::uint32_t> depths = {0, 1024, 4096};
  std::vector<std::uint32_t> batches = {1, 4, 16};
  KvType kv_type = KvType::F16;
  std::uint32_t decode = 128;
  std::uint32_t repeat = 5;
  bool operations = false;
  bool restart = false;
  bool no_probes = false;
  bool json = false;
};

// Each once, ascending, without zeros where zero means none.
std::vector<std::uint32_t> sorted(std::vector<std::uint32_t> values, bool zero_is_none) {
  if (zero_is_none) std::erase(values, 0u);
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return values;
}

std::vector<std::uint32_t> default_threads() {
  return sorted({1u, std::max(1u, std::thread::hardware_concurrency())}, true);
}

Result<BenchTask> task_of(const Arguments& arguments) {
  Result<std::string> path = resolve_model(arguments.model);
  if (!path) return fail(path.error());
  BenchTask task{.model_path = *std::move(path),
                 .kernels = {},
                 .threads = arguments.threads.empty() ? default_threads() : arguments.threads,
                 .prefill = sorted(arguments.prefill, true),
                 .depths = sorted(arguments.depths, false),
                 .batches = sorted(arguments.batches, true),
                 .kv_type = arguments.kv_type,
                 .decode = arguments.decode,
                 .repeat = arguments.repeat,
                 .probes = !arguments.no_probes,
                 .operations = arguments.operations,
                 .restart = arguments.restart};
  for (const std::string& name : arguments.kernels) {
    const Result<const KernelTable*> kernels = choose_kernels(name);
    if (!kernels) return fail(kernels.error());
    task.kernels.push_back(*kernels);
  }
  return task;
}

int run(const Arguments& arguments) {
  const Result<BenchTask> task = task_of(arguments);
  if (!task) return report_failure("bench", task.error().message());
  const auto num_samples = static_cast<double>(task->num_samples());
  Result<BenchReport> report = [&] {
    ProgressBar bar("measuring");
    return run_bench(*task, [&](std::size_t done, std::string_view what) {
      bar.update(static_cast<double>(done) / num_samples, what);
    });
  }();
  if (!report) return report_failure("bench", report.error().message());
  std::printf("%s\n", arguments.json ? bench_json(*report).c_str() : bench_text(*report).c_str());
  return 0;
}

CLI::Option* add_list(CLI::App& command, const char* name, std::vector<std::uint32_t>& values, int low,
                      int high, const char* description) {
  return command.add_option(name, values, description)
      ->delimiter(',')
      ->type_name("N,..")
      ->check(CLI::Range(low, high));
}

}  // namespace

void add_bench_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  Arguments& a = *arguments;
  CLI::App* command = app.add_subcommand(
      "bench", "how fast this device runs a model, beside what its memory and units allow");
  command->add_option("--model", a.model, "name or GGUF file")->type_name("NAME")->capture_default_str();
  add_list(*command, "--threads", a.threads, 1, kMaxThreads, "each in turn (default: 1, and every core)");
  command->add_option("--kernels", a.kernels, "scalar, avx2, avx512, ..: each in turn (default: the fastest)")
      ->delimiter(',')
      ->type_name("NAME,..");
  add_list(*command, "--prefill", a.prefill, 0, kMaxPositions, "prompts of this many tokens; 0: none")
      ->default_str("128,512,2048");
  command->add_option("--decode", a.decode, "tokens generated each time; 0: none")
      ->type_name("N")
      ->check(CLI::Range(0u, kMaxPositions))
      ->capture_default_str();
  add_list(*command, "--depth", a.depths, 0, kMaxPositions, "decode behind this many tokens")
      ->default_str("0,1024,4096");
  add_list(*command, "--batch", a.batches, 0, kMaxGroupsPerStep, "decode so many sequences together; 0: none")
      ->default_str("1,4,16");
  add_kv_type_option(*command, "how keys and values are kept (default: f16)",
                     [&a](KvType type) { a.kv_type = type; });
  command->add_option("--repeat", a.repeat, "samples of each figure, taken in turn")
      ->type_name("N")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command->add_flag("--ops", a.operations, "also where the time goes, operation by operation");
  command->add_flag("--restart", a.restart,
                    "also the load from a worker's store (fills one in the cache first)");
  command->add_flag("--json", a.json, "every sample, for programs");
  command->add_flag("--no-probes", a.no_probes, "leave out what the device could do: no shares of it");
  command->footer(
      "Figures are medians of tokens/s; % of reads and % of int8 are shares of a plain read loop over as "
      "many\n"
      "bytes and of a register loop, each run just before the sample with the same threads.\n"
      "Example:\n  shoal bench --model smollm2 --threads 2 --prefill 512 --depth 0,1024 --ops");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
