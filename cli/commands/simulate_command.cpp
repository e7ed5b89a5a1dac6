#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <optional>

#include "base/log.h"
#include "base/quantity.h"
#include "cli/capacity_scenario.h"
#include "cli/capacity_tables.h"
#include "cli/commands.h"
#include "cli/server_options.h"

namespace shoal {
namespace {

struct Arguments {
  std::string config;
  std::string model;
  std::string measured;
  std::optional<std::uint64_t> seed;
  std::optional<std::uint32_t> requests;
  std::optional<double> rate;
  std::string duration;
  bool json = false;
  bool arrivals = false;
};

// What the command line says wins over the file.
Status override_config(const Arguments& arguments, ClusterConfig& config) {
  if (!arguments.model.empty()) config.models = {arguments.model};
  ArrivalPlan& plan = config.arrivals;
  if (!plan.trace.empty() && (arguments.seed || arguments.rate))
    return fail(ErrorCode::InvalidArgument,
                "the config's requests come from a trace: --seed and --rate mean nothing");
  if (arguments.seed) plan.seed = *arguments.seed;
  if (arguments.rate) plan.per_second = *arguments.rate;
  if (arguments.requests) plan.requests = *arguments.requests;
  if (arguments.duration.empty()) return {};
  const std::optional<double> seconds = parse_seconds(arguments.duration);
  if (!seconds || *seconds <= 0)
    return fail(ErrorCode::InvalidArgument,
                "--duration \"" + arguments.duration + "\" is no time (for example 90s, 10min)");
  plan.seconds = *seconds;
  // The number of requests follows from the time then.
  if (!arguments.requests && plan.trace.empty())
    plan.requests = static_cast<std::uint32_t>(plan.per_second * *seconds * 2 + 100);
  return {};
}

void print_arrivals(const ArrivalPlan& plan) {
  std::printf("# seconds,prompt tokens,answer tokens\n");
  for (const PlannedRequest& r : make_arrivals(plan))
    std::printf("%.6f,%u,%u\n", r.at_seconds, r.prompt_tokens, r.answer_tokens);
}

int run(const Arguments& arguments) {
  set_log_level(LogLevel::Off);  // the simulated coordinators' and workers' own words
  Result<ClusterConfig> config = read_cluster_config(arguments.config);
  if (!config) return report_failure("simulate", config.error().message(), 2);
  if (Status sense = override_config(arguments, *config); !sense)
    return report_failure("simulate", sense.error().message(), 2);
  if (arguments.arrivals) {
    print_arrivals(config->arrivals);
    return 0;
  }
  Result<ServedModel> model = read_simulated_model(config->models.front());
  if (!model) return report_failure("simulate", model.error().message());
  MeasuredProfiles measured;
  if (!arguments.measured.empty()) {
    Result<MeasuredProfiles> read = read_measured_profiles(arguments.measured, *model);
    if (!read) return report_failure("simulate", read.error().message());
    measured = *std::move(read);
  }
  const Result<CapacityScenario> scenario = scenario_of(*config, *std::move(model), measured);
  if (!scenario) return report_failure("simulate", scenario.error().message(), 2);
  const Result<CapacityReport> report = simulate_capacity(*scenario);
  if (!report) return report_failure("simulate", report.error().message());
  std::printf("%s%s", (arguments.json ? capacity_json(*report) : render_capacity(*report)).c_str(),
              arguments.json ? "\n" : "");
  return 0;
}

}  // namespace

void add_simulate_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("simulate", "what a described cluster would do, without the devices");
  const auto option = [&](const char* name, auto& value, const char* type, const char* what) {
    return command->add_option(name, value, what)->type_name(type);
  };
  command->add_option("CONFIG", arguments->config, "a file like cluster-configs/smart-city-200.yaml")
      ->required();
  option("--model", arguments->model, "NAME", "another model than the config's: a file, or a shape we know");
  option("--measured", arguments->measured, "DIR",
         "take devices as the hub whose state is there measured them");
  option("--seed", arguments->seed, "N", "another seed of arrivals, network and failures");
  option("--rate", arguments->rate, "N", "requests per second")->check(CLI::PositiveNumber);
  option("--requests", arguments->requests, "N", "how many requests")->check(CLI::Range(1, 10'000'000));
  option("--duration", arguments->duration, "TIME",
         "requests come for this long (90s, 10min), and are answered");
  command->add_flag("--arrivals", arguments->arrivals, "print the requests as a trace, and simulate nothing");
  command->add_flag("--json", arguments->json, "the whole report as JSON");
  command->footer(
      "The real planner, scheduler and recovery over a simulated network; compute takes the time that the "
      "devices'\n"
      "classes say. The same seed gives the same report.\n"
      "Example:\n  shoal simulate cluster-configs/smart-city-200.yaml");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
