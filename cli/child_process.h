#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace shoal {

struct ChildCommand {
  std::vector<std::string> arguments;                            // [0] is the program, found through PATH
  std::vector<std::pair<std::string, std::string>> environment;  // added to ours
};

// A program we started. It has a process group of its own (a terminal's Ctrl-C reaches only us), no input,
// one pipe for what it writes to stdout and stderr, and dies (SIGKILL) when we do, however we die. Start it
// from the thread that lives as long as the process: the kernel ties that last promise to the starting
// thread. Destroyed while it runs: killed.
class ChildProcess {
 public:
  // NotFound where there is no such program.
  static Result<ChildProcess> start(const ChildCommand& command);
  ~ChildProcess();
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;

  pid_t pid() const { return pid_; }
  int output() const { return output_; }  // to poll for reading
  bool is_running() const { return !exit_status_; }

  // What it has written since the last call, without waiting; at most 64 KB a call.
  std::string read_output();
  // Its wait status once it has ended, without waiting.
  std::optional<int> poll_exit();
  void send_signal(int number) const;  // to its whole group; nothing once it has ended

 private:
  ChildProcess(pid_t pid, int output) : pid_(pid), output_(output) {}
  void end();

  pid_t pid_ = -1;
  int output_ = -1;
  std::optional<int> exit_status_;
};

// "ended with status 1", "was killed by signal 9 (Killed)".
std::string describe_exit(int wait_status);
bool ended_by_itself(int wait_status);  // not by a signal

}  // namespace shoal
