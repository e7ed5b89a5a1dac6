#include "cli/compact_help.h"

#include <CLI/CLI.hpp>

namespace shoal {
namespace {

constexpr std::size_t kNameColumn = 26;

class CompactHelp : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override {
    std::string text = app->get_description() + "\n\nUsage: " + full_name(app, name);
    const auto positionals =
        app->get_options([](const CLI::Option* option) { return option->get_positional(); });
    const auto options = app->get_options([](const CLI::Option* option) { return option->nonpositional(); });
    const auto commands = app->get_subcommands([](const CLI::App*) { return true; });
    for (const CLI::Option* option : positionals) text += " " + positional_name(option);
    text +=
        (options.size() > 1 ? " [options]" : "") + std::string(commands.empty() ? "" : " COMMAND") + "\n\n";
    for (const CLI::Option* option : positionals)
      text += line(positional_name(option), option->get_description());
    for (const CLI::App* command : commands) text += line(command->get_name(), command->get_description());
    std::string rare;
    for (const CLI::Option* option : options) {
      if (option->get_group() == kRareOptions && mode != CLI::AppFormatMode::All) {
        rare += (rare.empty() ? "" : ", ") + option_name(option);
      } else {
        text += line(option_name(option), description_of(option));
      }
    }
    if (!rare.empty()) text += "  rare: " + rare + "\n";
    const std::string footer = app->get_footer();
    return footer.empty() ? text : text + "\n" + footer + "\n";
  }

 private:
  static std::string full_name(const CLI::App* app, const std::string& name) {
    if (!app->get_parent()) return name.empty() ? app->get_name() : name;
    return "shoal " + app->get_name();
  }
  static std::string positional_name(const CLI::Option* option) {
    const std::string name = option->get_name(true, false);
    return option->get_required() ? name : "[" + name + "]";
  }
  static std::string option_name(const CLI::Option* option) {
    std::string name = option->get_name(false, true);
    const std::string type = option->get_type_name();  // "N:INT in [1 - 64]" where the value is checked
    const std::string shown = type.substr(0, type.find(':'));
    return shown.empty() ? name : name + " " + shown;
  }
  static std::string description_of(const CLI::Option* option) {
    const std::string initial = option->get_default_str();
    return option->get_description() + (initial.empty() ? "" : " (default: " + initial + ")");
  }
  static std::string line(const std::string& name, const std::string& description) {
    const std::size_t gap = name.size() < kNameColumn ? kNameColumn - name.size() : 1;
    return "  " + name + std::string(gap, ' ') + description + "\n";
  }
};

}  // namespace

std::shared_ptr<CLI::FormatterBase> compact_help() { return std::make_shared<CompactHelp>(); }

}  // namespace shoal
