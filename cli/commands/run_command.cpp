#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "cli/chat_stream.h"
#include "cli/commands.h"
#include "cli/input_text.h"
#include "cli/process_signals.h"
#include "cli/question_options.h"
#include "cli/server_options.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

struct Arguments {
  ServerOptions server;
  std::vector<std::string> words;
  std::string system;
  ChatQuestion question;
};

Result<std::string> prompt_of(const std::vector<std::string>& words) {
  if (words.empty() || (words.size() == 1 && words[0] == "-")) return read_input("-");
  std::string prompt;
  for (const std::string& word : words) prompt += (prompt.empty() ? "" : " ") + word;
  return prompt;
}

void print_text(std::string_view text, bool is_terminal) {
  const std::string shown = is_terminal ? terminal_safe(text) : std::string(text);
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  std::fflush(stdout);
}

int run(Arguments& arguments) {
  if (arguments.words.empty() && ::isatty(STDIN_FILENO) == 1)
    return report_failure("run", "a prompt is needed: shoal run \"Why is the sky blue?\"", 2);
  const Result<std::string> prompt = prompt_of(arguments.words);
  if (!prompt) return report_failure("run", prompt.error().message());
  if (prompt->empty()) return report_failure("run", "the prompt is empty", 2);
  if (const Status utf8 = check_utf8(*prompt, "the prompt"); !utf8)
    return report_failure("run", utf8.error().message());
  ChatQuestion& question = arguments.question;
  if (!arguments.system.empty()) question.turns.push_back({"system", arguments.system});
  question.turns.push_back({"user", *prompt});
  catch_stop_signals();
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  HttpClient client = arguments.server.client();
  warn_of_base_model(client);
  bool wrote = false;
  const auto on_text = [&](std::string_view text) {
    wrote = true;
    print_text(text, is_terminal);
  };
  const Result<ChatAnswer> answer = stream_chat(client, question, on_text, &stop_requested());
  if (wrote) print_text("\n", is_terminal);
  if (!answer) return report_failure("run", answer.error().message());
  std::fprintf(stderr, "%s%s\n", describe_speed(*answer).c_str(),
               answer->stopped                     ? " (stopped)"
               : answer->finish_reason == "length" ? " (cut at the token limit)"
                                                   : "");
  return answer->stopped ? 130 : 0;  // as a shell reports a program that Ctrl-C ended
}

}  // namespace

void add_run_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("run", "ask one question and print the answer as it comes");
  command->add_option("PROMPT", arguments->words,
                      "the question; - or nothing reads it from the standard input");
  command->add_option("--system", arguments->system, "what the model is told beforehand")->type_name("TEXT");
  add_question_options(*command, arguments->question);
  add_server_options(*command, arguments->server);
  command->footer(
      "The speed goes to stderr. Example:\n  shoal run --temperature 0 \"Name three uses of a street "
      "cabinet.\" > answer.txt");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
