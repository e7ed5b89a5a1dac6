#include "cli/supervisor.h"

#include <doctest/doctest.h>
#include <signal.h>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Fixture {
  ScratchFolder scratch;
  std::vector<std::string> news;
  Supervisor supervisor;

  explicit Fixture(bool restart = true, bool show_logs = false)
      : supervisor({.log_directory = scratch.path(),
                    .restart = restart,
                    .show_logs = show_logs,
                    .say = [this](std::string_view line) { news.emplace_back(line); }}) {}

  template <typename Condition>
  bool tend_until(Condition condition, Duration patience = seconds(20)) {
    const Time deadline = SteadyClock().now() + patience;
    while (!condition()) {
      if (SteadyClock().now() > deadline) return false;
      supervisor.tend(milliseconds(20));
    }
    return true;
  }
  bool has_news(const std::string& part) const {
    for (const std::string& line : news) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
};

ChildCommand shell(const std::string& script) { return {{"sh", "-c", script}, {}}; }

TEST_CASE("a worker that dies is started again and its lines go to its log") {
  Fixture fixture;
  REQUIRE(fixture.supervisor.start("cam-1", shell("echo begun; kill -9 $$")));
  CHECK(fixture.supervisor.is_running("cam-1"));
  REQUIRE(fixture.tend_until([&] { return fixture.has_news("cam-1 started again"); }));
  CHECK(fixture.has_news("cam-1 was killed by signal 9 (Killed); it starts again in 1 s"));
  REQUIRE(
      fixture.tend_until([&] { return content_of(fixture.scratch.file("cam-1.log")) == "begun\nbegun\n"; }));
}

TEST_CASE("whoever ends while it is starting is neither announced nor started again") {
  Fixture fixture;
  fixture.supervisor.set_starting(true);
  REQUIRE(fixture.supervisor.start("hub", shell("echo 'the port is taken'; exit 1")));
  REQUIRE(fixture.tend_until([&] { return !fixture.supervisor.is_running("hub"); }));
  CHECK(fixture.news.empty());
  CHECK(fixture.supervisor.is_given_up("hub"));
  CHECK(fixture.supervisor.has_said("hub", "port is taken"));
  CHECK_FALSE(fixture.supervisor.has_said("hub", "ready"));
  CHECK(fixture.supervisor.last_end("hub") == "hub ended with status 1: the port is taken");
}

TEST_CASE("a process that refuses its arguments is not started again") {
  Fixture fixture;
  REQUIRE(fixture.supervisor.start("cam-1", shell("echo 'no such option'; exit 2")));
  REQUIRE(fixture.tend_until([&] { return fixture.supervisor.is_given_up("cam-1"); }));
  CHECK(fixture.supervisor.last_end("cam-1") == "cam-1 ended with status 2: no such option");
  CHECK(fixture.supervisor.last_lines("cam-1") == "  no such option");
}

TEST_CASE("without restarts an ended process stays ended") {
  Fixture fixture(/*restart=*/false);
  REQUIRE(fixture.supervisor.start("cam-1", shell("exit 1")));
  REQUIRE(fixture.tend_until([&] { return fixture.supervisor.is_given_up("cam-1"); }));
  CHECK(fixture.news == std::vector<std::string>{"cam-1 ended with status 1"});
}

TEST_CASE("shown log lines carry their process's name and cannot steer the terminal") {
  Fixture fixture(/*restart=*/false, /*show_logs=*/true);
  REQUIRE(fixture.supervisor.start("cam-1", shell("printf 'a\\033[2Jb\\n'; printf 'no newline'")));
  REQUIRE(fixture.tend_until([&] { return fixture.supervisor.is_given_up("cam-1"); }));
  CHECK(fixture.news[0] == "cam-1 | a\xEF\xBF\xBD[2Jb");
  CHECK(fixture.news[1] == "cam-1 | no newline");
}

TEST_CASE("stopping asks every process to end, and returns once they have") {
  Fixture fixture;
  REQUIRE(fixture.supervisor.start(
      "tidy", shell("trap 'echo tidied; exit 0' TERM; echo up; while :; do sleep 0.05; done")));
  REQUIRE(fixture.supervisor.start("plain", shell("echo up; exec sleep 60")));
  REQUIRE(fixture.tend_until([&] {
    return content_of(fixture.scratch.file("tidy.log")) == "up\n" &&
           content_of(fixture.scratch.file("plain.log")) == "up\n";
  }));
  const Time begin = SteadyClock().now();
  fixture.supervisor.stop();
  CHECK(SteadyClock().now() - begin < seconds(4));
  const std::string log = content_of(
      fixture.scratch.file("tidy.log"));  // between them the shell may remark on its own child's end
  CHECK(log.starts_with("up\n"));
  CHECK(log.ends_with("tidied\n"));
  CHECK_FALSE(fixture.supervisor.is_running("tidy"));
  CHECK_FALSE(fixture.supervisor.is_running("plain"));
  CHECK(fixture.news.empty());
}

TEST_CASE("a process that will not stop is killed after five seconds") {
  Fixture fixture;
  REQUIRE(fixture.supervisor.start("deaf", shell("trap '' TERM; echo up; while :; do sleep 0.2; done")));
  REQUIRE(fixture.tend_until([&] { return content_of(fixture.scratch.file("deaf.log")) == "up\n"; }));
  const Time begin = SteadyClock().now();
  fixture.supervisor.stop();
  CHECK(SteadyClock().now() - begin >= seconds(5));
  CHECK(fixture.news == std::vector<std::string>{"deaf did not stop in time and was killed"});
}

TEST_CASE("a program that is not there is an error when it is started") {
  Fixture fixture;
  CHECK_FALSE(fixture.supervisor.start("none", {{"/no/such/program"}, {}}));
  CHECK_FALSE(fixture.supervisor.is_running("none"));
  CHECK_FALSE(fixture.supervisor.is_given_up("none"));
}

}  // namespace
}  // namespace shoal
