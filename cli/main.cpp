#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/compact_help.h"
#include "cli/usage_fault.h"
#include "worker/worker_command.h"

namespace {

constexpr const char* kFooter =
    "Start here:  shoal up cluster-configs/local-3.yaml   then   shoal run \"Why is the sky blue?\"\n"
    "Each command has its own --help.";

// `shoal help [COMMAND]` and `shoal version`, for those who try words first.
std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (arguments.empty()) return arguments;
  if (arguments[0] == "version") arguments[0] = "--version";
  if (arguments[0] != "help") return arguments;
  arguments.erase(arguments.begin());
  arguments.resize(std::min<std::size_t>(arguments.size(), 1));
  arguments.emplace_back("--help");
  return arguments;
}

// The worker parses its own arguments, so that shoal-worker and `shoal worker` are one and the same.
int run_worker(std::vector<std::string> arguments) {
  arguments[0] = "shoal worker";
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  return shoal::worker_command(static_cast<int>(arguments.size()), pointers.data());
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> arguments = arguments_of(argc, argv);
  if (!arguments.empty() && arguments[0] == "worker") return run_worker(std::move(arguments));
  CLI::App app{"Shoal runs a language model over the small devices that are already there."};
  app.name("shoal");
  app.footer(kFooter);
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "this text");
  app.set_version_flag("--version", SHOAL_VERSION, "the version");
  app.formatter(shoal::compact_help());

  int status = 0;
  shoal::add_commands(app, status);
  app.add_subcommand("worker", "run this device's worker (also the program shoal-worker)");
  app.failure_message(shoal::usage_fault);
  std::ranges::reverse(arguments);  // as parse takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return status;
}
