#include "cli/child_process.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace shoal {
namespace {

struct Ended {
  int status = 0;
  std::string output;
};

Ended run_to_end(ChildProcess& child) {
  Ended ended;
  for (;;) {
    pollfd waiting{child.output(), POLLIN, 0};
    ::poll(&waiting, 1, 20);
    const std::optional<int> exit = child.poll_exit();
    for (std::string more; !(more = child.read_output()).empty();) ended.output += more;
    if (!exit) continue;
    ended.status = *exit;
    return ended;
  }
}

TEST_CASE("what a child writes to both streams arrives, and its status with it") {
  Result<ChildProcess> child = ChildProcess::start(
      {{"sh", "-c", "echo out; echo err >&2; echo \"$ADDED\"; exit 3"}, {{"ADDED", "a value"}}});
  REQUIRE(child);
  const Ended ended = run_to_end(*child);
  CHECK(ended.output == "out\nerr\na value\n");
  CHECK(describe_exit(ended.status) == "ended with status 3");
  CHECK_FALSE(child->is_running());
}

TEST_CASE("a program that does not exist is an error at once") {
  const Result<ChildProcess> child = ChildProcess::start({{"/no/such/program"}, {}});
  REQUIRE_FALSE(child);
  CHECK(child.error().code() == ErrorCode::NotFound);
  CHECK(child.error().message().find("/no/such/program") != std::string::npos);
}

TEST_CASE("a child has no input and a process group of its own") {
  Result<ChildProcess> child = ChildProcess::start({{"sh", "-c", "cat; echo end; sleep 0.05"}, {}});
  REQUIRE(child);
  const Ended ended = run_to_end(*child);
  CHECK(ended.output == "end\n");
  Result<ChildProcess> other = ChildProcess::start({{"sleep", "60"}, {}});
  REQUIRE(other);
  CHECK(::getpgid(other->pid()) == other->pid());
  other->send_signal(SIGTERM);
  CHECK(describe_exit(run_to_end(*other).status) == "was killed by signal 15 (Terminated)");
}

TEST_CASE("a child that is let go of is killed") {
  pid_t pid = -1;
  {
    Result<ChildProcess> child = ChildProcess::start({{"sleep", "60"}, {}});
    REQUIRE(child);
    pid = child->pid();
    CHECK(::kill(pid, 0) == 0);
  }
  CHECK(::kill(pid, 0) != 0);
}

// Ended, whether or not whoever inherited it has taken note.
bool has_ended(pid_t pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string id, name, state;
  return !(stat >> id >> name >> state) || state == "Z" || state == "X";
}

bool ends_within(pid_t pid, std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!has_ended(pid)) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

TEST_CASE("children die with a parent that is killed without warning") {
  int news[2];
  REQUIRE(::pipe(news) == 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const Result<ChildProcess> child = ChildProcess::start({{"sleep", "60"}, {}});
    const pid_t pid = child ? child->pid() : -1;
    (void)!::write(news[1], &pid, sizeof pid);
    ::pause();
    ::_exit(0);
  }
  pid_t grandchild = -1;
  REQUIRE(::read(news[0], &grandchild, sizeof grandchild) == sizeof grandchild);
  REQUIRE(grandchild > 0);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  CHECK(ends_within(grandchild, std::chrono::seconds(10)));
  ::close(news[0]);
  ::close(news[1]);
}

}  // namespace
}  // namespace shoal
