#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

#include "cli/cluster_config.h"
#include "cli/commands.h"
#include "cli/kv_type_option.h"
#include "cli/models.h"
#include "cli/own_addresses.h"
#include "cli/paths.h"
#include "cli/process_signals.h"
#include "cli/server_options.h"
#include "cli/up_session.h"

namespace shoal {
namespace {

constexpr std::uint16_t kHubPorts = 4;  // join, control, data, bulk

struct Arguments {
  std::string config;
  std::string model;
  std::optional<std::uint16_t> port;
  std::optional<std::uint16_t> cluster_port;
  std::optional<std::uint32_t> min_stages;
  std::optional<KvType> kv_type;
  std::string state = state_directory();
  bool no_restart = false;
  bool verbose = false;
};

// What the command line says wins over the file.
Status override_config(const Arguments& arguments, ClusterConfig& config) {
  if (!arguments.model.empty()) config.models = {arguments.model};
  if (arguments.port) config.http_port = *arguments.port;
  if (arguments.cluster_port) config.cluster_port = *arguments.cluster_port;
  if (arguments.min_stages) config.min_stages = *arguments.min_stages;
  if (arguments.kv_type) config.kv_type = name_of(*arguments.kv_type);
  if (config.min_stages > config.devices.size()) {
    return fail(ErrorCode::InvalidArgument, "--min-stages is " + std::to_string(config.min_stages) + " but " +
                                                config.path + " lists only " +
                                                std::to_string(config.devices.size()) + " devices");
  }
  return {};
}

Status check_own(const std::string& address, const char* key) {
  if (is_own_address(address)) return {};
  return fail(ErrorCode::InvalidArgument,
              std::string(key) + " " + address +
                  " is no address of this machine: run this on the hub, or change the config");
}

// Port 0 means any free one; it is chosen here, so that a coordinator that is started again comes back to the
// same.
Status choose_ports(ClusterConfig& config) {
  const auto choose = [](const std::string& host, std::uint16_t count, std::uint16_t& port) -> Status {
    if (port != 0) return {};
    const std::optional<std::uint16_t> found = free_ports(host, count);
    if (!found) return fail(ErrorCode::Unavailable, "no free port was found on " + host);
    port = *found;
    return {};
  };
  if (Status chosen = choose(config.address, kHubPorts, config.cluster_port); !chosen) return chosen;
  return choose(config.http_address, 1, config.http_port);
}

Result<std::string> api_key_of(const ClusterConfig& config) {
  if (config.api_key_file.empty()) return default_api_key();
  std::ifstream file(config.api_key_file);
  std::string key;
  if (!std::getline(file, key) || key.empty()) {
    return fail(ErrorCode::NotFound, "api_key_file: " + config.api_key_file + " cannot be read or is empty");
  }
  return key;
}

Result<UpSession::Options> prepare(const Arguments& arguments, ClusterConfig config) {
  if (Status own = check_own(config.address, "coordinator.address"); !own) return fail(own.error());
  if (Status own = check_own(config.http_address, "coordinator.http_address"); !own) return fail(own.error());
  if (Status chosen = choose_ports(config); !chosen) return fail(chosen.error());
  Result<std::string> api_key = api_key_of(config);
  if (!api_key) return fail(api_key.error());
  const std::string model = config.models.front();
  Result<std::string> model_path = resolve_model(model);
  if (!model_path) return fail(model_path.error());
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (error) return fail(ErrorCode::Internal, "finding this program's own file: " + error.message());

  UpSession::Options options;
  options.cluster.model_id = find_known_model(model) ? find_known_model(model)->name : "";
  options.cluster.config = std::move(config);
  options.cluster.program = program;
  options.cluster.model_path = *std::move(model_path);
  options.cluster.state_directory = std::filesystem::absolute(arguments.state).string();
  options.api_key = *std::move(api_key);
  options.restart = !arguments.no_restart;
  options.show_logs = arguments.verbose;
  return options;
}

int run(const Arguments& arguments) {
  Result<ClusterConfig> config = read_cluster_config(arguments.config);
  if (!config) return report_failure("up", config.error().message(), 2);
  if (Status fits = override_config(arguments, *config); !fits)
    return report_failure("up", fits.error().message(), 2);
  Result<UpSession::Options> options = prepare(arguments, *std::move(config));
  if (!options) return report_failure("up", options.error().message());
  const Result<StateLock> lock = StateLock::take(options->cluster.state_directory);
  if (!lock) return report_failure("up", lock.error().message());
  catch_stop_signals();
  const Status ran = UpSession(*std::move(options), stop_requested()).run();
  if (!ran) return report_failure("up", ran.error().message());
  std::fprintf(stderr, "All stopped.\n");
  return 0;
}

}  // namespace

void add_up_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("up", "start a cluster from its config: the hub and this machine's workers");
  command->add_option("CONFIG", arguments->config, "a file like cluster-configs/local-3.yaml")->required();
  command->add_option("--model", arguments->model, "serve this instead: a name or a GGUF file")
      ->type_name("NAME");
  command->add_option("--port", arguments->port, "HTTP port, 0 for any free one")->type_name("N");
  command
      ->add_option("--cluster-port", arguments->cluster_port,
                   "the hub's first port for workers (four in a row), 0 for any")
      ->type_name("N");
  command->add_option("--min-stages", arguments->min_stages, "split over at least so many devices")
      ->type_name("N")
      ->check(CLI::Range(1, 64));
  add_kv_type_option(*command, "how keys and values are kept: in q8 about half the memory",
                     [arguments = arguments.get()](KvType type) { arguments->kv_type = type; });
  command->add_option("--state", arguments->state, "keys, stores and logs")
      ->type_name("DIR")
      ->default_str(arguments->state);
  command->add_flag("--no-restart", arguments->no_restart, "a process that ends stays ended");
  command->add_flag("--verbose", arguments->verbose, "show every log line, not only in DIR/logs");
  command->footer(
      "A worker that dies is started again; Ctrl-C stops all. For devices elsewhere it prints what to run "
      "there.\n"
      "Example:\n  shoal up cluster-configs/local-3.yaml --model gemma3-270m");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
