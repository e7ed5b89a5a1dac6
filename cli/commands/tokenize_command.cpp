#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/models.h"
#include "cli/server_options.h"
#include "cli/terminal_text.h"
#include "model/gguf.h"
#include "text/tokenizer.h"

namespace shoal {
namespace {

struct Arguments {
  std::string text;
  std::string model = "default";
  bool json = false;
  bool special = false;
  bool bos = false;
};

Result<std::vector<TokenId>> encode(const Tokenizer& tokenizer, const Arguments& arguments,
                                    const std::string& text) {
  Result<std::vector<TokenId>> ids = tokenizer.encode(text, arguments.special);
  if (ids && arguments.bos && tokenizer.bos() >= 0) ids->insert(ids->begin(), tokenizer.bos());
  return ids;
}

void print_ids(const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  for (const TokenId id : ids) {
    const std::string piece = terminal_safe(tokenizer.piece(id, /*render_special=*/true));
    std::printf("%8d  %s\n", static_cast<int>(id), nlohmann::json(piece).dump().c_str());
  }
  std::printf("%zu tokens\n", ids.size());
}

int run(const Arguments& arguments) {
  const Result<std::string> path = resolve_model(arguments.model);
  if (!path) return report_failure("tokenize", path.error().message());
  const Result<GgufFile> file = GgufFile::open(*path);
  if (!file) return report_failure("tokenize", file.error().message());
  const Result<Tokenizer> tokenizer = Tokenizer::open(*file);
  if (!tokenizer) return report_failure("tokenize", tokenizer.error().message());
  const std::string text =
      arguments.text == "-" ? std::string(std::istreambuf_iterator<char>(std::cin), {}) : arguments.text;
  const Result<std::vector<TokenId>> ids = encode(*tokenizer, arguments, text);
  if (!ids) return report_failure("tokenize", ids.error().message());
  if (arguments.json) {
    std::printf("%s\n", nlohmann::json(*ids).dump().c_str());
  } else {
    print_ids(*ids, *tokenizer);
  }
  return 0;
}

}  // namespace

void add_tokenize_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("tokenize", "the token ids of a text, from the model file alone");
  command->add_option("TEXT", arguments->text, "the text; - for the standard input")->required();
  command->add_option("--model", arguments->model, "name or GGUF file")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_flag("--json", arguments->json, "a JSON list of ids, as `shoal score --tokens` takes it");
  command->add_flag("--special", arguments->special, "control tokens written in the text become their ids");
  command->add_flag("--bos", arguments->bos, "put the model's beginning-of-text token first");
  command->footer(
      "Example:\n  shoal tokenize --json \"Hello world\" > ids.json && shoal score --tokens ids.json");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
