#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/cluster_tables.h"
#include "cli/commands.h"
#include "cli/server_options.h"

namespace shoal {
namespace {

struct Arguments {
  ServerOptions server;
  bool json = false;
};

int run(const Arguments& arguments) {
  HttpClient client = arguments.server.client();
  const Result<std::string> cluster = get_text(client, "/api/cluster");
  if (!cluster) return report_failure("plan", cluster.error().message());
  const Result<std::string> text = arguments.json ? plan_json(*cluster) : render_plan(*cluster);
  if (!text) return report_failure("plan", text.error().message());
  std::printf("%s%s", text->c_str(), arguments.json ? "\n" : "");
  return 0;
}

}  // namespace

void add_plan_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("plan", "which device runs which layers, and the time each stage and hop takes");
  command->add_flag("--json", arguments->json, "the plan and the measured links, as JSON");
  add_server_options(*command, arguments->server);
  command->footer(
      "Predictions come from measured compute, memory and links; what was then measured stands beside "
      "them.\nExample:\n  shoal plan");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
