#include "cli/question_options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "cli/number_range.h"

namespace shoal {

void add_question_options(CLI::App& command, ChatQuestion& question) {
  const auto option = [&](const char* name, auto& value, const char* type, const char* what) {
    return command.add_option(name, value, what)->type_name(type);
  };
  option("--max-tokens", question.max_tokens, "N", "longest answer (default: as much as there is room for)")
      ->check(whole_number_from(1, 1 << 20));
  option("--temperature", question.temperature, "X", "0 is the likeliest token every time")
      ->check(number_from(0.0, 2.0));
  option("--top-p", question.top_p, "X", "only the likeliest tokens that make up this much")
      ->check(number_from(0.0, 1.0));
  option("--top-k", question.top_k, "N", "only the N likeliest tokens")->check(whole_number_from(0, 1 << 20));
  option("--min-p", question.min_p, "X", "only tokens this likely beside the likeliest")
      ->check(number_from(0.0, 1.0));
  option("--repeat-penalty", question.repeat_penalty, "X", "above 1 makes words said lately less likely")
      ->check(number_from(0.1, 10.0));
  option("--seed", question.seed, "N", "the same seed draws the same answers")->check(any_whole_number());
  option("--model", question.model, "NAME", "refuse unless this model is served");
}

void warn_of_base_model(HttpClient& client) {
  const Result<HttpClient::Response> models = client.get("/v1/models");
  if (!models || models->body.find("\"has_chat_template\":false") == std::string::npos) return;
  std::fprintf(
      stderr,
      "Note: the model's file carries no chat template. It is probably a base model, which completes texts "
      "(/v1/completions) rather than answers.\n");
}

}  // namespace shoal
