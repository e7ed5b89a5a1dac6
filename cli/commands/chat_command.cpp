#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "cli/chat_stream.h"
#include "cli/commands.h"
#include "cli/counted.h"
#include "cli/input_text.h"
#include "cli/line_reader.h"
#include "cli/process_signals.h"
#include "cli/question_options.h"
#include "cli/server_options.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

constexpr const char* kChatHelp =
    "  /reset   forget the conversation\n"
    "  /stats   tokens and speed so far\n"
    "  /bye     leave (so does Ctrl-D)\n"
    "  \"\"\"      begins and ends a message of several lines\n"
    "  Ctrl-C   stops the answer\n";
constexpr std::string_view kBlockMark = "\"\"\"";

struct Arguments {
  ServerOptions server;
  std::string system;
  ChatQuestion question;  // its options; turns grow
};

struct Totals {
  std::uint64_t answers = 0;
  std::uint64_t tokens = 0;
  double seconds_after_first = 0;
  std::string last = "no answer yet";
};

// One conversation at a terminal or from a pipe.
class Chat {
 public:
  explicit Chat(Arguments& arguments)
      : question_(arguments.question),
        system_(arguments.system),
        client_(arguments.server.client()),
        lines_(STDIN_FILENO) {
    reset();
  }

  int run() {
    say("Ask something. /help lists what else there is; Ctrl-C stops an answer, /bye leaves.");
    for (std::string message; !end_requested();) {
      switch (read_message(message)) {
        case LineReader::Outcome::End:
          say("");
          return 0;
        case LineReader::Outcome::Interrupted:
          stop_requested() = false;
          if (!end_requested()) say("\n(/bye or Ctrl-D leaves)");
          continue;
        case LineReader::Outcome::Line:
          break;
      }
      if (message == "/bye") return 0;
      if (message.starts_with('/')) {
        obey(message);
      } else if (message.find_first_not_of(" \t\n") != std::string::npos) {
        ask(message);
      }
    }
    return 0;
  }

 private:
  LineReader::Outcome read_message(std::string& message) {
    prompt("> ");
    LineReader::Outcome outcome = lines_.read(message, stop_requested());
    if (outcome != LineReader::Outcome::Line || !message.starts_with(kBlockMark)) return outcome;
    message.erase(0, kBlockMark.size());
    for (std::string line; !message.ends_with(kBlockMark);) {
      prompt(". ");
      outcome = lines_.read(line, stop_requested());
      if (outcome != LineReader::Outcome::Line) return outcome;
      message += (message.empty() ? "" : "\n") + line;
    }
    message.erase(message.size() - kBlockMark.size());
    return LineReader::Outcome::Line;
  }

  void obey(const std::string& command) {
    if (command == "/help") {
      std::fputs(kChatHelp, stdout);
    } else if (command == "/reset") {
      reset();
      say("The conversation begins anew.");
    } else if (command == "/stats") {
      print_stats();
    } else {
      say("There is no " + command + "; /help lists what there is.");
    }
    std::fflush(stdout);
  }

  void ask(const std::string& message) {
    if (const Status utf8 = check_utf8(message, "the message"); !utf8)
      return say(utf8.error().message() + ".");
    question_.turns.push_back({"user", message});
    const auto on_text = [&](std::string_view text) {
      print(is_terminal_ ? terminal_safe(text) : std::string(text));
    };
    Result<ChatAnswer> answer = stream_chat(client_, question_, on_text, &stop_requested());
    while (!answer && answer.error().code() == ErrorCode::OutOfMemory && forget_oldest())
      answer = stream_chat(client_, question_, on_text, &stop_requested());
    stop_requested() = end_requested().load();
    say("");
    if (!answer) {
      question_.turns.pop_back();
      report_failure("chat", answer.error().message());
      return;
    }
    if (answer->text.empty()) {
      question_.turns.pop_back();
      say("(no answer; /reset begins a new conversation)");
    } else {
      question_.turns.push_back({"assistant", answer->text});
    }
    ++totals_.answers;
    totals_.tokens += answer->num_tokens;
    totals_.seconds_after_first += answer->seconds_after_first;
    totals_.last = describe_speed(*answer);
  }

  // A long conversation goes on without its beginning, as memory goes. False: nothing is left to forget.
  bool forget_oldest() {
    const auto first = std::ranges::find(question_.turns, "user", &ChatTurn::role);
    if (question_.turns.end() - first < 3) return false;  // the message alone is too long
    question_.turns.erase(first, first + 2);
    if (!std::exchange(told_forgetting_, true))
      say("(the conversation no longer fits: its beginning is forgotten)");
    return true;
  }

  void reset() {
    told_forgetting_ = false;
    question_.turns.clear();
    if (!system_.empty()) question_.turns.push_back({"system", system_});
  }

  void print_stats() {
    std::printf("last answer: %s\n%s: %s in %.1f s\n", totals_.last.c_str(),
                counted(totals_.answers, "answer").c_str(), counted(totals_.tokens, "token").c_str(),
                totals_.seconds_after_first);
  }

  void prompt(const char* text) {
    if (is_typed_) print(text);
  }
  static void print(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  static void say(const std::string& line) { print(line + "\n"); }

  ChatQuestion& question_;
  std::string system_;
  HttpClient client_;
  LineReader lines_;
  Totals totals_;
  bool told_forgetting_ = false;
  bool is_typed_ = ::isatty(STDIN_FILENO) == 1;
  bool is_terminal_ = ::isatty(STDOUT_FILENO) == 1;
};

int run(Arguments& arguments) {
  HttpClient client = arguments.server.client();
  const Result<std::string> models = get_text(client, "/v1/models");
  if (!models) return report_failure("chat", models.error().message());
  warn_of_base_model(client);
  catch_stop_signals();
  return Chat(arguments).run();
}

}  // namespace

void add_chat_command(CLI::App& app, int& status) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* command = app.add_subcommand("chat", "talk with the model; Ctrl-C stops an answer, /bye leaves");
  command->add_option("--system", arguments->system, "what the model is told beforehand")->type_name("TEXT");
  add_question_options(*command, arguments->question);
  add_server_options(*command, arguments->server);
  command->footer("Example:\n  shoal chat --system \"You answer in one sentence.\"");
  command->callback([arguments, &status] { status = run(*arguments); });
}

}  // namespace shoal
