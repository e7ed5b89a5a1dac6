#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/sampling.h"
#include "cli/commands.h"
#include "cli/kv_type_option.h"
#include "cli/models.h"
#include "cli/progress_bar.h"
#include "cli/score_source.h"
#include "cli/server_options.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxFileBytes = 64 << 20;

struct Arguments {
  ServerOptions server;
  std::string file;
  bool tokens = false;
  bool json = false;
  ScoreTask task;
  FileScoreOptions on_file;
};

Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (path != "-" && !file) return fail(ErrorCode::NotFound, path + " cannot be read");
  std::istream& in = path == "-" ? std::cin : file;
  std::string text(std::istreambuf_iterator<char>(in), {});
  if (text.size() > kMaxFileBytes)
    return fail(ErrorCode::InvalidArgument, path + " is larger than a text to score can be (64 MB)");
  return text;
}

// A JSON list of ids, or an object that has one under "tokens".
Result<std::vector<TokenId>> parse_ids(const std::string& text, const std::string& path) {
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("tokens")) json = nlohmann::json(json["tokens"]);
  const Failure wrong = fail(ErrorCode::InvalidArgument, path + " is no JSON list of token ids (--tokens)");
  if (!json.is_array() || json.empty()) return wrong;
  std::vector<TokenId> ids;
  for (const nlohmann::json& id : json) {
    if (!id.is_number_integer() || id < 0 || id > INT32_MAX) return wrong;
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

Status read_task(Arguments& arguments) {
  Result<std::string> text = read_text(arguments.file);
  if (!text) return fail(text.error());
  if (!arguments.tokens) {
    arguments.task.text = *std::move(text);
    return {};
  }
  Result<std::vector<TokenId>> ids = parse_ids(*text, arguments.file);
  if (!ids) return fail(ids.error());
  arguments.task.ids = *std::move(ids);
  return {};
}

Result<ScoredText> score(Arguments& arguments) {
  if (arguments.on_file.model_path.empty()) {
    HttpClient client = arguments.server.client();
    return score_on_cluster(client, arguments.task);
  }
  Result<std::string> path = resolve_model(arguments.on_file.model_path);
  if (!path) return fail(path.error());
  arguments.on_file.model_path = *std::move(path);
  ProgressBar bar("scoring");
  return score_on_file(arguments.on_file, arguments.task, [&](std::size_t done, std::size_t total) {
    bar.update(static_cast<double>(done) / static_cast<double>(total),
               std::to_string(done) + " of " + std::to_string(total) + " tokens");
  });
}

void print_rows(const ScoredText& score) {
  std::printf("%6s %8s %12s  %s\n", "row", "id", "logprob", "token");
  for (std::size_t i = 0; i < score.rows.size(); ++i) {
    // A token's own log-probability stands in the row before it.
    std::string logprob = "-";
    if (i > 0 && score.rows[i - 1].next_logprob) {
      char text[32];
      std::snprintf(text, sizeof text, "%.4f", *score.rows[i - 1].next_logprob);
      logprob = text;
    }
    std::printf("%6zu %8d %12s  %s\n", i, static_cast<int>(score.tokens[i]), logprob.c_str(),
                nlohmann::json(terminal_safe(score.rows[i].piece)).dump().c_str());
  }
}

int run(Arguments& arguments) {
  if (Status read = read_task(arguments); !read) return report_failure("score", read.error().message());
  const Result<ScoredText> scored = score(arguments);
  if (!scored) return report_failure("score", scored.error().message());
  if (arguments.json) {
    std::printf("%s\n", score_json(*scored, arguments.task).c_str());
    return 0;
  }
  print_rows(*scored);
  std::printf("%zu tokens, mean negative log-probability %.4f, perplexity %.3f\n", scored->tokens.size(),
              scored->mean_nll(), std::exp(scored->mean_nll()));
  if (arguments.task.digest) std::printf("digest of all logits: %s\n", scored->digest.c_str());
  return 0;
}

}  // namespace

void add_score_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command =
      app.add_subcommand("score", "log-probability of each token of a text, and its perplexity");
  command->add_option("FILE", arguments->file, "the text; - for the standard input")->required();
  command->add_flag("--tokens", arguments->tokens, "FILE is a JSON list of token ids, used as they are");
  command->add_flag("--json", arguments->json, "{\"tokens\":[..],\"rows\":[{\"row\",\"nll\",\"top\"}..]}");
  command->add_option("--top", arguments->task.top, "with --json: this many best tokens per row, at most 400")
      ->type_name("K")
      ->check(CLI::Range(0, static_cast<int>(kMaxTopLogprobs)));
  command->add_flag("--digest", arguments->task.digest, "a hash of the bits of all logits");
  CLI::Option* model = command
                           ->add_option("--model", arguments->on_file.model_path,
                                        "a GGUF file or name, on its own: no cluster is asked")
                           ->type_name("NAME");
  command->add_option("--chunk", arguments->on_file.chunk, "with --model: rows per step")
      ->type_name("N")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  command->add_option("--threads", arguments->on_file.num_threads, "with --model (default: every core)")
      ->type_name("N")
      ->check(CLI::Range(1, 1024));
  add_kv_type_option(*command, "with --model: how keys and values are kept (default: f16)",
                     [arguments = arguments.get()](KvType type) { arguments->on_file.kv_type = type; })
      ->needs(model);  // a cluster keeps them in its own way
  command
      ->add_option("--kernels", arguments->on_file.kernels,
                   "with --model: scalar, avx2, avxvnni, avx512, amx (default: the fastest)")
      ->type_name("NAME");
  add_server_options(*command, arguments->server);
  command->footer(
      "Example:\n  shoal score report.txt        shoal score --model smollm2 --digest report.txt");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
