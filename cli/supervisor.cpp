#include "cli/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "cli/terminal_text.h"

namespace shoal {
namespace {

constexpr Duration kStopPatience = std::chrono::seconds(5);
constexpr Duration kLookInterval =
    std::chrono::milliseconds(50);  // ends are polled for: a pipe may outlive its process
constexpr std::size_t kKeptLines = 8;
constexpr std::size_t kMaxLineBytes = 1 << 16;
constexpr int kMisused = 2;

Time now() { return SteadyClock().now(); }

bool was_misused(int wait_status) { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == kMisused; }

}  // namespace

Status Supervisor::start(const std::string& name, const ChildCommand& command) {
  Result<LogFile> log = LogFile::open(options_.log_directory + "/" + name + ".log");
  if (!log) return fail(log.error());
  Result<ChildProcess> child = ChildProcess::start(command);
  if (!child) return fail(child.error());
  Process& process =
      processes_.emplace_back(Process{.name = name, .command = command, .log = *std::move(log)});
  process.child = *std::move(child);
  process.started = now();
  return {};
}

const Supervisor::Process* Supervisor::find(const std::string& name) const {
  const auto found = std::ranges::find(processes_, name, &Process::name);
  return found == processes_.end() ? nullptr : &*found;
}

bool Supervisor::is_running(const std::string& name) const {
  const Process* process = find(name);
  return process && process->child;
}

bool Supervisor::is_given_up(const std::string& name) const {
  const Process* process = find(name);
  return process && !process->child && !process->again_at;
}

std::string Supervisor::last_end(const std::string& name) const {
  const Process* process = find(name);
  return process ? process->last_end : "";
}

std::string Supervisor::last_lines(const std::string& name) const {
  std::string text;
  const Process* process = find(name);
  if (!process) return text;
  for (const std::string& line : process->last_lines) text += (text.empty() ? "  " : "\n  ") + line;
  return text;
}

bool Supervisor::has_said(const std::string& name, std::string_view text) const {
  const Process* process = find(name);
  return process && std::ranges::any_of(process->last_lines, [&](const std::string& line) {
           return line.find(text) != std::string::npos;
         });
}

void Supervisor::tend(Duration most) {
  poll_output(wait_milliseconds(most));
  for (Process& process : processes_) {
    if (process.child) notice_end(process);
    if (process.again_at && now() >= *process.again_at) start_again(process);
  }
}

int Supervisor::wait_milliseconds(Duration most) const {
  Duration wait = std::min(most, kLookInterval);
  for (const Process& process : processes_) {
    if (process.again_at) wait = std::min(wait, std::max(Duration::zero(), *process.again_at - now()));
  }
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

void Supervisor::poll_output(int milliseconds) {
  std::vector<pollfd> outputs;
  std::vector<Process*> owners;
  for (Process& process : processes_) {
    if (!process.child) continue;
    outputs.push_back({process.child->output(), POLLIN, 0});
    owners.push_back(&process);
  }
  ::poll(outputs.data(), outputs.size(), milliseconds);
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].revents != 0) drain(*owners[i]);
  }
}

void Supervisor::drain(Process& process) {
  const std::string output = process.child->read_output();
  process.bytes_read += output.size();
  process.partial_line += output;
  std::size_t begin = 0;
  for (std::size_t end; (end = process.partial_line.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    take_line(process, process.partial_line.substr(begin, end - begin));
  }
  process.partial_line.erase(0, begin);
  if (process.partial_line.size() > kMaxLineBytes)
    take_line(process, std::exchange(process.partial_line, {}));
}

// Once it has ended: all it has written, a last line without a newline too.
void Supervisor::drain_to_end(Process& process) {
  for (std::size_t before = SIZE_MAX; before != process.bytes_read;) {
    before = process.bytes_read;
    drain(process);
  }
  if (!process.partial_line.empty()) take_line(process, std::exchange(process.partial_line, {}));
}

void Supervisor::take_line(Process& process, const std::string& line) {
  process.log.add_line(line);
  process.last_lines.push_back(terminal_safe(line));
  if (process.last_lines.size() > kKeptLines) process.last_lines.pop_front();
  if (options_.show_logs) options_.say(process.name + " | " + process.last_lines.back());
}

void Supervisor::notice_end(Process& process) {
  const std::optional<int> exit = process.child->poll_exit();
  if (!exit) return;
  drain_to_end(process);
  process.child.reset();
  process.last_end = process.name + " " + describe_exit(*exit);
  // Its last line says why it ended by itself, and nothing about a signal.
  if (ended_by_itself(*exit) && !process.last_lines.empty())
    process.last_end += ": " + process.last_lines.back();
  if (starting_) return;
  if (options_.restart && !was_misused(*exit))
    process.again_at = process.policy.after_end(process.started, now());
  std::string news = process.last_end;
  if (process.again_at) {
    const auto delay = std::chrono::round<std::chrono::seconds>(*process.again_at - now());
    news += "; it starts again in " + std::to_string(delay.count()) + " s";
  }
  options_.say(news);
}

void Supervisor::start_again(Process& process) {
  process.again_at.reset();
  process.started = now();
  Result<ChildProcess> child = ChildProcess::start(process.command);
  if (child) {
    process.child = *std::move(child);
    options_.say(process.name + " started again (pid " + std::to_string(process.child->pid()) + ")");
    return;
  }
  process.again_at = process.policy.after_end(process.started, now());
  options_.say(child.error().message());
}

bool Supervisor::all_ended_within(Duration patience) {
  const Time deadline = now() + patience;
  for (;;) {
    poll_output(static_cast<int>(kLookInterval / std::chrono::milliseconds(1)));
    bool any = false;
    for (Process& process : processes_) {
      if (process.child && process.child->poll_exit()) {
        drain_to_end(process);
        process.child.reset();
      }
      any |= process.child.has_value();
    }
    if (!any) return true;
    if (now() >= deadline) return false;
  }
}

void Supervisor::stop() {
  for (Process& process : processes_) {
    process.again_at.reset();
    if (process.child) process.child->send_signal(SIGTERM);
  }
  if (all_ended_within(kStopPatience)) return;
  for (Process& process : processes_) {
    if (!process.child) continue;
    options_.say(process.name + " did not stop in time and was killed");
    process.child->send_signal(SIGKILL);
  }
  all_ended_within(kStopPatience);
}

}  // namespace shoal
