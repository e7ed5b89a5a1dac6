#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <thread>

#include "cli/cluster_bounds.h"
#include "cli/cluster_config.h"
#include "cli/commands.h"
#include "cli/models.h"
#include "cli/number_range.h"
#include "cli/own_addresses.h"
#include "cli/paths.h"
#include "cli/process_signals.h"
#include "cli/server_options.h"
#include "cli/up_session.h"
#include "lab/hosts.h"

namespace shoal {
namespace {

constexpr std::uint16_t kHubPorts = 4;  // join, control, data, bulk

struct Arguments {
  std::string config;
  std::string model;
  std::optional<std::uint16_t> port;
  std::optional<std::uint16_t> cluster_port;
  std::optional<std::uint32_t> min_stages;
  std::string state = state_directory();
  bool no_restart = false;
  bool verbose = false;
  bool emulate = false;
  std::string emulate_speed;
};

// What the command line says wins over the file.
Status override_config(const Arguments& arguments, ClusterConfig& config) {
  if (!arguments.model.empty()) config.models = {arguments.model};
  if (arguments.port) config.http_port = *arguments.port;
  if (arguments.cluster_port) config.cluster_port = *arguments.cluster_port;
  if (arguments.min_stages) config.min_stages = *arguments.min_stages;
  if (config.pipeline_per_group) {
    return fail(
        ErrorCode::InvalidArgument,
        config.path +
            " describes several clusters (pipelines: per-group): `shoal simulate` runs them; `shoal up` "
            "starts one, so give each group a config of its own");
  }
  if (!arguments.emulate_speed.empty() && !arguments.emulate)
    return fail(ErrorCode::InvalidArgument, "--emulate-speed is for --emulate");
  if (config.min_stages > config.devices.size()) {
    return fail(ErrorCode::InvalidArgument, "--min-stages is " + std::to_string(config.min_stages) +
                                                ", more than the devices that " + config.path +
                                                " lists: " + std::to_string(config.devices.size()));
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

void say_what_is_emulated(const ClusterConfig& config, const Emulation& emulation,
                          const Status& can_make_hosts) {
  const auto [slowest, fastest] = std::ranges::minmax(emulation.speeds);
  std::fprintf(
      stderr, "Emulating %zu devices on this machine, at %.2g to %.2g of its speed, %s.\n",
      config.devices.size(), slowest, fastest,
      can_make_hosts ? "each on a host of its own with the config's links" : "on 127.0.0.1, without links");
  if (!can_make_hosts) std::fprintf(stderr, "No links: %s\n", can_make_hosts.error().message().c_str());
}

Result<std::optional<Emulation>> emulation_of(const Arguments& arguments, ClusterConfig& config) {
  if (!arguments.emulate) return std::optional<Emulation>();
  const Result<SpeedChoice> speed =
      arguments.emulate_speed.empty() ? SpeedChoice{} : parse_speed_choice(arguments.emulate_speed);
  if (!speed) return fail(speed.error());
  const Status can_make_hosts = check_can_make_hosts();
  Result<Emulation> emulation =
      emulate(config, *speed, can_make_hosts.has_value(), std::max(1u, std::thread::hardware_concurrency()));
  if (!emulation) return fail(emulation.error());
  say_what_is_emulated(config, *emulation, can_make_hosts);
  return std::optional(*std::move(emulation));
}

// Where its own address is another machine's, this is not the hub.
Status check_addresses(const ClusterConfig& config) {
  if (Status own = check_own(config.address, "coordinator.address"); !own) return own;
  return check_own(config.http_address, "coordinator.http_address");
}

Result<UpSession::Options> prepare(const Arguments& arguments, ClusterConfig config) {
  Result<std::optional<Emulation>> emulation = emulation_of(arguments, config);
  if (!emulation) return fail(emulation.error());
  const bool has_links = *emulation && (*emulation)->with_links;
  if (Status own = has_links ? Status() : check_addresses(config); !own) return fail(own.error());
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
  options.cluster.emulation = *std::move(emulation);
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
  const Result<FileLock> lock = lock_state(options->cluster.state_directory);
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
  const auto number = [&](const char* name, auto& value, Bounds bounds, const char* what) {
    command->add_option(name, value, what)
        ->type_name("N")
        ->check(whole_number_from(bounds.least, bounds.most));
  };
  number("--port", arguments->port, kPortBounds, "HTTP port, 0 for any free one");
  number("--cluster-port", arguments->cluster_port, kClusterPortBounds,
         "the hub's first port for workers (four in a row), 0 for any");
  number("--min-stages", arguments->min_stages, kMinStagesBounds, "split over at least so many devices");
  command->add_option("--state", arguments->state, "keys, stores and logs")
      ->type_name("DIR")
      ->default_str(arguments->state);
  command->add_flag("--emulate", arguments->emulate,
                    "every device as a process here; with root, on hosts with the config's links");
  command
      ->add_option("--emulate-speed", arguments->emulate_speed,
                   "how fast they work: 0.01 to 1 of this machine, or classes (by their classes)")
      ->type_name("X");
  command->add_flag("--no-restart", arguments->no_restart, "a process that ends stays ended");
  command->add_flag("--verbose", arguments->verbose, "show every log line, not only in DIR/logs");
  command->footer(
      "A worker that dies is started again; Ctrl-C stops all. For devices elsewhere it prints what to run "
      "there.\n"
      "Example:\n  shoal up cluster-configs/local-3.yaml --model gemma3-270m");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
