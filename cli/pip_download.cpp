#include "cli/pip_download.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <vector>

#include "cli/child_process.h"

namespace shoal {
namespace {

namespace fs = std::filesystem;

constexpr int kPollMilliseconds = 100;
constexpr std::size_t kKeptOutput = 4096;

struct Outcome {
  int wait_status = 0;
  std::string output;  // its end
};

std::uint64_t bytes_below(const std::string& directory) {
  std::uint64_t total = 0;
  std::error_code error;
  for (fs::recursive_directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code gone;
    const std::uintmax_t size = entry->is_regular_file(gone) ? entry->file_size(gone) : 0;
    if (!gone) total += size;
  }
  return total;
}

Result<Outcome> run_to_end(const ChildCommand& command, const std::function<void()>& meanwhile,
                           const std::atomic<bool>& stop) {
  Result<ChildProcess> child = ChildProcess::start(command);
  if (!child) return fail(child.error());
  Outcome outcome;
  for (;;) {
    pollfd waiting{child->output(), POLLIN, 0};
    ::poll(&waiting, 1, kPollMilliseconds);
    const std::optional<int> exit = child->poll_exit();  // before the last read, so that nothing is missed
    outcome.output += child->read_output();
    if (outcome.output.size() > kKeptOutput) outcome.output.erase(0, outcome.output.size() - kKeptOutput);
    meanwhile();
    if (exit) {
      outcome.wait_status = *exit;
      return outcome;
    }
    if (stop) return fail(ErrorCode::Unavailable, "stopped");
  }
}

// pip is a module of the user's Python, else a program.
Result<std::vector<std::string>> find_pip(const std::atomic<bool>& stop) {
  for (const std::vector<std::string>& pip : {std::vector<std::string>{"python3", "-m", "pip"}, {"pip3"}}) {
    ChildCommand ask{pip, {}};
    ask.arguments.emplace_back("--version");
    const Result<Outcome> asked = run_to_end(
        ask, [] {}, stop);
    if (stop) return fail(ErrorCode::Unavailable, "stopped");
    if (asked && WIFEXITED(asked->wait_status) && WEXITSTATUS(asked->wait_status) == 0) return pip;
  }
  return fail(ErrorCode::NotFound,
              "this model comes through pip, which is not here: apt-get install python3-pip (or "
              "scripts/install-packages)");
}

// The line that says what went wrong, pip's "ERROR: ..." if there is one.
std::string last_words(const std::string& output) {
  std::string last;
  std::string error;
  for (std::size_t begin = 0; begin < output.size();) {
    const std::size_t end = std::min(output.find('\n', begin), output.size());
    const std::string line = output.substr(begin, end - begin);
    if (!line.empty()) last = line;
    if (line.starts_with("ERROR: ")) error = line.substr(7);
    begin = end + 1;
  }
  return error.empty() ? last : error;
}

Result<std::string> wheel_in(const std::string& directory, const std::string& package) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, error)) {
    if (entry.path().extension() == ".whl") return entry.path().string();
  }
  return fail(ErrorCode::NotFound, "pip brought no wheel of " + package);
}

}  // namespace

Result<std::string> pip_download(const std::string& package, const std::string& directory,
                                 const std::function<void(std::uint64_t)>& on_bytes,
                                 const std::atomic<bool>& stop) {
  Result<std::vector<std::string>> pip = find_pip(stop);
  if (!pip) return fail(pip.error());
  ChildCommand command;
  command.arguments = *std::move(pip);
  for (const char* argument : {"download", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check",
                               "--no-input", "--progress-bar", "off", "--dest"}) {
    command.arguments.emplace_back(argument);
  }
  command.arguments.push_back(directory);
  command.arguments.push_back(package);
  command.environment = {
      {"TMPDIR", directory}};  // where it gathers bytes: on the same disk, and seen by bytes_below
  const Result<Outcome> outcome = run_to_end(
      command, [&] { on_bytes(bytes_below(directory)); }, stop);
  if (!outcome) return fail(outcome.error().during("fetching " + package));
  if (!WIFEXITED(outcome->wait_status) || WEXITSTATUS(outcome->wait_status) != 0) {
    return fail(ErrorCode::Unavailable, "pip download " + package + " " +
                                            describe_exit(outcome->wait_status) + ": " +
                                            last_words(outcome->output));
  }
  return wheel_in(directory, package);
}

}  // namespace shoal
