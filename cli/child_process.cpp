#include "cli/child_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace shoal {
namespace {

struct Pipe {
  int read = -1;
  int write = -1;

  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  void close_read() { close_one(read); }
  void close_write() { close_one(write); }
  ~Pipe() {
    close_read();
    close_write();
  }

 private:
  static void close_one(int& end) {
    if (end >= 0) ::close(end);
    end = -1;
  }
};

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& added) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry; ++entry) {
    const std::string text = *entry;
    const std::string name = text.substr(0, text.find('='));
    bool replaced = false;
    for (const auto& [key, value] : added) replaced |= key == name;
    if (!replaced) all.push_back(text);
  }
  for (const auto& [key, value] : added) all.push_back(key + "=" + value);
  return all;
}

// In the child between fork and exec: only calls that are safe there.
[[noreturn]] void become(char* const* arguments, char* const* environment, pid_t parent, int output,
                         int failure) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // died before the promise was made
  ::setpgid(0, 0);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (nothing >= 0) ::dup2(nothing, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::signal(SIGPIPE, SIG_DFL);
  ::execvpe(arguments[0], arguments, environment);
  const int reason = errno;
  (void)!::write(failure, &reason, sizeof reason);
  ::_exit(127);
}

}  // namespace

Result<ChildProcess> ChildProcess::start(const ChildCommand& command) {
  std::vector<std::string> arguments = command.arguments;
  std::vector<std::string> environment = environment_with(command.environment);
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  Pipe output;
  Pipe failure;
  if (!output.open() || !failure.open()) {
    return fail(ErrorCode::Unavailable, "starting " + arguments[0] + ": " + std::strerror(errno));
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(ErrorCode::Unavailable, "starting " + arguments[0] + ": " + std::strerror(errno));
  if (pid == 0)
    become(argument_pointers.data(), environment_pointers.data(), parent, output.write, failure.write);
  output.close_write();
  failure.close_write();
  int reason = 0;
  ssize_t got = 0;
  while ((got = ::read(failure.read, &reason, sizeof reason)) < 0 && errno == EINTR) {
  }
  if (got == sizeof reason) {  // exec did not happen
    ::waitpid(pid, nullptr, 0);
    return fail(ErrorCode::NotFound, "starting " + arguments[0] + ": " + std::strerror(reason));
  }
  ::fcntl(output.read, F_SETFL, O_NONBLOCK);
  ChildProcess child(pid, output.read);
  output.read = -1;
  return child;
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      output_(std::exchange(other.output_, -1)),
      exit_status_(std::exchange(other.exit_status_, std::nullopt)) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  if (this == &other) return *this;
  end();
  pid_ = std::exchange(other.pid_, -1);
  output_ = std::exchange(other.output_, -1);
  exit_status_ = std::exchange(other.exit_status_, std::nullopt);
  return *this;
}

ChildProcess::~ChildProcess() { end(); }

void ChildProcess::end() {
  if (pid_ > 0 && !exit_status_) {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  if (output_ >= 0) ::close(output_);
  pid_ = -1;
  output_ = -1;
}

std::string ChildProcess::read_output() {
  std::array<char, 1 << 16> buffer;
  const ssize_t got = output_ < 0 ? 0 : ::read(output_, buffer.data(), buffer.size());
  return got > 0 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : std::string();
}

std::optional<int> ChildProcess::poll_exit() {
  if (exit_status_) return exit_status_;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == pid_) exit_status_ = status;
  return exit_status_;
}

void ChildProcess::send_signal(int number) const {
  if (pid_ <= 0 || exit_status_) return;
  if (::kill(-pid_, number) != 0) ::kill(pid_, number);  // its group exists a moment after the process
}

bool ended_by_itself(int wait_status) { return WIFEXITED(wait_status); }

std::string describe_exit(int wait_status) {
  if (WIFEXITED(wait_status)) return "ended with status " + std::to_string(WEXITSTATUS(wait_status));
  if (!WIFSIGNALED(wait_status)) return "ended";
  const int number = WTERMSIG(wait_status);
  return "was killed by signal " + std::to_string(number) + " (" + ::strsignal(number) + ")";
}

}  // namespace shoal
