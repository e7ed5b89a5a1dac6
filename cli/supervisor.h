#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "cli/child_process.h"
#include "cli/log_file.h"
#include "cli/restart_policy.h"

namespace shoal {

struct SupervisorOptions {
  std::string log_directory;
  bool restart = true;
  bool show_logs = false;                          // every line, after its process's name, goes to `say` too
  std::function<void(std::string_view line)> say;  // one-line news: started, ended, started again
};

// Keeps processes running: their output goes to LOG_DIRECTORY/NAME.log, one that ends is started again
// (RestartPolicy) unless it was misused (status 2: the same arguments would end the same way). One thread,
// the process's first.
class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options) : options_(std::move(options)) {}
  ~Supervisor() { stop(); }
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Names are unique. Errors: the program or its log cannot be opened.
  Status start(const std::string& name, const ChildCommand& command);

  // Moves output to the logs, notices ends and starts again what is due; returns after `most` or when there
  // was news.
  void tend(Duration most);

  // While it is starting, whoever ends is neither announced nor started again: the caller says what it means.
  void set_starting(bool starting) { starting_ = starting; }

  bool is_running(const std::string& name) const;
  // Whether one of its last lines holds this text.
  bool has_said(const std::string& name, std::string_view text) const;
  // It ended and will not be started again.
  bool is_given_up(const std::string& name) const;
  // How it last ended and the last thing it said; "" while it has never ended.
  std::string last_end(const std::string& name) const;
  // Its last lines, indented, for the end of an error message.
  std::string last_lines(const std::string& name) const;

  // SIGTERM to all at once; after five seconds SIGKILL to those that remain. Returns when all have ended.
  void stop();

 private:
  struct Process {
    std::string name;
    ChildCommand command;
    LogFile log;
    std::optional<ChildProcess> child;
    RestartPolicy policy;
    Time started{};
    std::optional<Time> again_at;
    std::string partial_line;
    std::uint64_t bytes_read = 0;
    std::deque<std::string> last_lines;
    std::string last_end;
  };

  const Process* find(const std::string& name) const;
  void drain(Process& process);
  void drain_to_end(Process& process);
  void take_line(Process& process, const std::string& line);
  void notice_end(Process& process);
  void start_again(Process& process);
  int wait_milliseconds(Duration most) const;
  void poll_output(int milliseconds);
  bool all_ended_within(Duration patience);

  SupervisorOptions options_;
  bool starting_ = false;
  std::list<Process> processes_;
};

}  // namespace shoal
