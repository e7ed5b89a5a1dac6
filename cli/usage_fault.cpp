#include "cli/usage_fault.h"

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "cli/nearest_name.h"

namespace shoal {
namespace {

std::vector<std::string> options_of(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::vector<std::string> commands_of(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(command->get_name());
  return names;
}

// A word that the command does not know.
std::string unknown(const std::string& word, const CLI::App& command, bool names_command) {
  if (word.starts_with('-')) {
    const std::string option = word.substr(0, word.find('='));
    return "there is no option " + option + did_you_mean(option, options_of(command));
  }
  if (names_command) return "there is no command \"" + word + "\"" + did_you_mean(word, commands_of(command));
  return "\"" + word + "\" is one word too many (words that belong together want quotes)";
}

}  // namespace

std::string usage_fault(const CLI::App* app, const CLI::Error& error) {
  const std::vector<CLI::App*> chosen = app->get_subcommands();
  const CLI::App& command = chosen.empty() ? *app : *chosen.front();
  const std::string name = chosen.empty() ? app->get_name() : app->get_name() + " " + command.get_name();
  const std::vector<std::string> extras = app->remaining(/*recurse=*/true);
  if (chosen.empty() && extras.empty() && error.get_name() == "RequiredError") return app->help();
  std::string what = error.what();
  if (!extras.empty()) what = unknown(extras.front(), command, chosen.empty());
  if (const std::size_t at = what.find(" requires "); at != std::string::npos)
    what.replace(at, 10, " goes with ");
  if (const std::size_t at = what.find(" is required"); at != std::string::npos)
    what.replace(at, 12, " is missing");
  return name + ": " + what + "\nTry " + name + " --help.\n";
}

}  // namespace shoal
