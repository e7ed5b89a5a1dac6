#include <signal.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <string_view>

#include "cli/commands.h"
#include "cli/compact_help.h"
#include "worker/worker_command.h"

namespace {

constexpr const char* kFooter =
    "Start here:  shoal up cluster-configs/local-3.yaml   then   shoal run \"Why is the sky blue?\"\n"
    "Each command has its own --help.";

bool knows_command(const CLI::App& app, const std::string& name) {
  const auto commands =
      app.get_subcommands([&](const CLI::App* command) { return command->check_name(name); });
  return !commands.empty();
}

}  // namespace

int main(int argc, char** argv) {
  ::signal(SIGPIPE, SIG_IGN);
  // The worker parses its own arguments, so that shoal-worker and `shoal worker` are one and the same.
  if (argc >= 2 && std::string_view(argv[1]) == "worker") {
    std::string name = "shoal worker";
    argv[1] = name.data();
    return shoal::worker_command(argc - 1, argv + 1);
  }
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
  if (argc >= 2 && argv[1][0] != '-' && !knows_command(app, argv[1])) {
    std::fprintf(stderr, "shoal: there is no command \"%s\"; shoal --help lists them\n", argv[1]);
    return 2;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : 2;
  }
  return status;
}
