#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/counted.h"
#include "cli/input_text.h"
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

void print_ids(const std::vector<TokenId>& ids, const Tokenizer& tokenizer) {
  for (const TokenId id : ids) {
    const std::string piece = shown_piece(tokenizer.piece(id, /*render_special=*/true));
    std::printf("%8d  %s\n", static_cast<int>(id), piece.c_str());
  }
  std::printf("%s\n", counted(ids.size(), "token").c_str());
}

int run(const Arguments& arguments) {
  const Result<std::string> path = resolve_model(arguments.model);
  if (!path) return report_failure("tokenize", path.error().message());
  const Result<GgufFile> file = GgufFile::open(*path);
  if (!file) return report_failure("tokenize", file.error().message());
  const Result<Tokenizer> tokenizer = Tokenizer::open(*file);
  if (!tokenizer) return report_failure("tokenize", tokenizer.error().message());
  const Result<std::string> text =
      arguments.text == "-" ? read_input("-") : Result<std::string>(arguments.text);
  if (!text) return report_failure("tokenize", text.error().message());
  const Result<std::vector<TokenId>> ids = tokenizer->encode(*text, arguments.special);
  if (!ids) return report_failure("tokenize", ids.error().message());
  if (const std::string note = left_out_note(*tokenizer, *text, *ids); !note.empty())
    report_note("tokenize", note);
  std::vector<TokenId> shown = *ids;
  if (arguments.bos && tokenizer->bos() >= 0) shown.insert(shown.begin(), tokenizer->bos());
  if (arguments.json) {
    std::printf("%s\n", nlohmann::json(shown).dump().c_str());
  } else {
    print_ids(shown, *tokenizer);
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
      ->default_str(default_model().name);
  command->add_flag("--json", arguments->json, "a JSON list of ids, as `shoal score --tokens` takes it");
  command->add_flag("--special", arguments->special, "control tokens written in the text become their ids");
  command->add_flag("--bos", arguments->bos, "put the model's beginning-of-text token first");
  command->footer(
      "Example:\n  shoal tokenize --json \"Hello world\" > ids.json && shoal score --tokens ids.json");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
