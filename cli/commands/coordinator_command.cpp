#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "base/log.h"
#include "cli/cluster_bounds.h"
#include "cli/commands.h"
#include "cli/compact_help.h"
#include "cli/kv_type_option.h"
#include "cli/models.h"
#include "cli/own_addresses.h"
#include "cli/paths.h"
#include "cli/process_signals.h"
#include "coordinator/coordinator_process.h"

namespace shoal {
namespace {

struct Arguments {
  CoordinatorOptions options;
  std::string model = "default";
  std::string objective = "balanced";
  std::string log_level = "info";
  bool quiet = false;
};

void set_level(const std::string& name) {
  for (const LogLevel level : {LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error}) {
    if (name == name_of(level)) set_log_level(level);
  }
}

void print_ready(const CoordinatorOptions& options, const CoordinatorReady& ready) {
  std::printf("Serving on http://%s:%u\n", options.http_address.c_str(), ready.http_port);
  std::printf("Workers join with:\n  shoal worker --hub %s:%u --token %s\n",
              reachable_address(options.cluster_address).c_str(), ready.cluster_port,
              ready.join_token.c_str());
  std::fflush(stdout);
}

int run(Arguments& arguments) {
  CoordinatorOptions& options = arguments.options;
  const Result<std::string> path = resolve_model(arguments.model);
  if (!path) {
    std::fprintf(stderr, "shoal coordinator: %s\n", path.error().message().c_str());
    return 1;
  }
  options.model_path = *path;
  if (options.model_id.empty()) {
    if (const KnownModel* known = find_known_model(arguments.model)) options.model_id = known->name;
  }
  options.cluster.objective = arguments.objective == "throughput" ? Objective::Throughput
                              : arguments.objective == "latency"  ? Objective::Latency
                                                                  : Objective::Balanced;
  if (const char* key = std::getenv("SHOAL_API_KEY"); options.api_key.empty() && key) options.api_key = key;
  set_level(arguments.log_level);
  catch_stop_signals();
  const Status ran = run_coordinator(options, stop_requested(), [&](const CoordinatorReady& ready) {
    if (!arguments.quiet) print_ready(options, ready);
  });
  if (ran) return 0;
  std::fprintf(stderr, "shoal coordinator: %s\n", ran.error().message().c_str());
  return 1;
}

}  // namespace

void add_coordinator_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  arguments->options.state_directory = state_directory() + "/coordinator";
  CoordinatorOptions& options = arguments->options;
  CLI::App* command = app.add_subcommand("coordinator", "run the hub: plan, serve the OpenAI API, recover");
  const auto text = [&](const char* name, std::string& value, const char* type, const char* what) {
    return command->add_option(name, value, what)->type_name(type);
  };
  const auto number = [&](const char* name, auto& value, const char* what) {
    return command->add_option(name, value, what)->type_name("N")->capture_default_str();
  };
  const auto bounded = [&](const char* name, auto& value, Bounds bounds, const char* what) {
    number(name, value, what)->check(CLI::Range(bounds.least, bounds.most));
  };
  text("--model", arguments->model, "NAME", "name or GGUF file")->capture_default_str();
  text("--model-id", options.model_id, "ID", "the name clients use (default: the model's)");
  text("--state", options.state_directory, "DIR", "keys, join token and memory are kept here");
  text("--http-address", options.http_address, "HOST", "where clients connect; not loopback needs a key")
      ->capture_default_str();
  number("--port", options.http_port, "HTTP port, 0 for any");
  text("--api-key", options.api_key, "KEY", "clients must send it (or environment SHOAL_API_KEY)");
  command
      ->add_option("--allowed-host", options.allowed_hosts, "a Host name clients may use, besides addresses")
      ->type_name("HOST")
      ->group(kRareOptions);
  text("--address", options.cluster_address, "HOST", "where workers connect")->capture_default_str();
  bounded("--cluster-port", options.cluster_port, kClusterPortBounds,
          "join port; the next three too; 0 for any");
  bounded("--min-stages", options.cluster.min_stages, kMinStagesBounds,
          "split over at least so many devices");
  bounded("--expect", options.cluster.expect_devices, kExpectBounds,
          "wait for so many devices before the first plan");
  bounded("--context", options.cluster.max_context, kContextBounds, "positions per request");
  bounded("--kv-positions", options.cluster.kv_positions, kKvPositionsBounds, "positions over all requests");
  add_kv_type_option(*command, "how keys and values are kept (default: f16); q8 takes about half the memory",
                     [&options](KvType type) { options.cluster.kv_type = type; });
  bounded("--max-sequences", options.cluster.max_sequences, kMaxSequencesBounds, "requests at once");
  number("--prefill-chunk", options.cluster.scheduler.prefill_chunk, "rows of a prompt per step")
      ->check(CLI::Range(1, 512))
      ->group(kRareOptions);
  text("--objective", arguments->objective, "WHAT", "latency, throughput, or balanced (both)")
      ->check(CLI::IsMember({"latency", "throughput", "balanced"}))
      ->capture_default_str();
  text("--kernels", options.kernels, "NAME", "whose bits count (default: the fastest here)")
      ->group(kRareOptions);
  command
      ->add_flag("--allow-inexact", options.cluster.allow_inexact,
                 "use devices whose kernels give other bits")
      ->group(kRareOptions);
  text("--log", arguments->log_level, "LEVEL", "debug, info, warn, error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str()
      ->group(kRareOptions);
  command->add_flag("--quiet", arguments->quiet, "do not print the join token when ready")
      ->group(kRareOptions);
  command->set_help_all_flag("--help-all", "what the rare options do, too");
  command->footer("Example:\n  shoal coordinator --model smollm2 --address 192.168.1.10");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
