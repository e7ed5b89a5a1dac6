#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>

#include "cli/cluster_tables.h"
#include "cli/commands.h"
#include "cli/plan_answer.h"
#include "cli/plan_problem.h"
#include "cli/problem_text.h"
#include "cli/server_options.h"
#include "partition/planner.h"

namespace shoal {
namespace {

constexpr int kNoPlan = 3;

struct Arguments {
  ServerOptions server;
  std::string problem;
  std::string objective = "latency";
  bool json = false;
};

int refuse(const Arguments& arguments, const Error& error, int status) {
  if (arguments.json) std::fputs(error_json(error).c_str(), stdout);
  return report_failure("plan", error.message(), status);
}

int plan_cluster(const Arguments& arguments) {
  HttpClient client = arguments.server.client();
  const Result<std::string> cluster = get_text(client, "/api/cluster");
  if (!cluster) return report_failure("plan", cluster.error().message());
  const Result<std::string> text = arguments.json ? plan_json(*cluster) : render_plan(*cluster);
  if (!text) return report_failure("plan", text.error().message());
  std::printf("%s%s", text->c_str(), arguments.json ? "\n" : "");
  return 0;
}

int plan_problem(const Arguments& arguments) {
  const Objective objective = arguments.objective == "latency" ? Objective::Latency : Objective::Throughput;
  const Result<std::string> text = read_problem_text(arguments.problem);
  if (!text) return refuse(arguments, text.error(), 1);
  const Result<PlanProblem> problem = read_plan_problem(*text, objective);
  if (!problem) return refuse(arguments, problem.error().during(arguments.problem), 1);
  const auto start = std::chrono::steady_clock::now();
  const Result<Plan> plan = make_plan(*problem);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!plan)
    return refuse(arguments, plan.error(), plan.error().code() == ErrorCode::InvalidArgument ? 1 : kNoPlan);
  const std::string answer = arguments.json ? plan_answer_json(*problem, *plan, seconds)
                                            : render_plan_answer(*problem, *plan, seconds);
  std::fputs(answer.c_str(), stdout);
  return 0;
}

}  // namespace

void add_plan_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("plan", "which device runs which layers, and the time each stage and hop takes");
  command->add_flag("--json", arguments->json, "the plan and the measured links, as JSON");
  CLI::Option* problem =
      command->add_option("--problem", arguments->problem, "plan this problem instead; - is standard input")
          ->type_name("FILE.json");
  command->add_option("--objective", arguments->objective, "of the problem: latency or throughput")
      ->check(CLI::IsMember({"latency", "throughput"}))
      ->needs(problem)
      ->type_name("WHAT")
      ->capture_default_str();
  add_server_options(*command, arguments->server);
  command->footer(
      "Predictions come from measured compute, memory and links; what was then measured stands beside "
      "them.\nA problem that no plan can meet ends with status 3 and what is short.\n"
      "Example:\n  shoal plan");
  command->callback([arguments, &status] {
    status = arguments->problem.empty() ? plan_cluster(*arguments) : plan_problem(*arguments);
  });
}

}  // namespace shoal
