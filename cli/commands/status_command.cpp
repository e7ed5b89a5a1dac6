#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>

#include "cli/cluster_tables.h"
#include "cli/commands.h"
#include "cli/paths.h"
#include "cli/process_signals.h"
#include "cli/server_options.h"

namespace shoal {
namespace {

constexpr const char* kClearScreen = "\x1b[H\x1b[2J";
constexpr std::chrono::milliseconds kLook(50);

struct Arguments {
  ServerOptions server;
  bool json = false;
  bool watch = false;
  bool token = false;
  std::string state = state_directory();
};

int print_token(const std::string& state) {
  const std::string path = state + "/coordinator/join.token";
  std::ifstream file(path);
  std::string token;
  if (!std::getline(file, token))
    return report_failure("status",
                          path + " cannot be read: this works on the hub, as the user who runs it (--state)");
  std::printf("%s\n", token.c_str());
  return 0;
}

Result<std::string> status_text(HttpClient& client, bool json) {
  Result<std::string> cluster = get_text(client, "/api/cluster");
  if (!cluster) return fail(cluster.error());
  return json ? *cluster + "\n" : render_status(*cluster);
}

// Until Ctrl-C. A coordinator that is away for a moment is said so and looked for again.
int watch(HttpClient& client, bool json) {
  catch_stop_signals();
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  while (!stop_requested()) {
    const Result<std::string> text = status_text(client, json);
    if (is_terminal && !json) std::fputs(kClearScreen, stdout);
    std::printf("%s", text ? text->c_str() : (text.error().message() + "\n").c_str());
    if (!is_terminal && !json) std::printf("\n");
    std::fflush(stdout);
    for (int i = 0; i < 20 && !stop_requested(); ++i) std::this_thread::sleep_for(kLook);
  }
  return 0;
}

int run(const Arguments& arguments) {
  if (arguments.token) return print_token(arguments.state);
  HttpClient client = arguments.server.client();
  if (arguments.watch) return watch(client, arguments.json);
  const Result<std::string> text = status_text(client, arguments.json);
  if (!text) return report_failure("status", text.error().message());
  std::printf("%s", text->c_str());
  return 0;
}

}  // namespace

void add_status_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("status", "the devices: state, layers, memory, speed predicted and measured");
  command->add_flag("--json", arguments->json, "everything the coordinator tells, as JSON");
  command->add_flag("--watch", arguments->watch, "again every second, until Ctrl-C");
  command->add_flag("--token", arguments->token, "print the token a new device needs to join (on the hub)");
  command->add_option("--state", arguments->state, "where `shoal up` keeps its state, for --token")
      ->type_name("DIR")
      ->default_str(arguments->state);
  add_server_options(*command, arguments->server);
  command->footer("Example:\n  shoal status --watch");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
