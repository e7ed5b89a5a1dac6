#include "base/log.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <functional>
#include <regex>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace shoal {
namespace {

// What `body` writes to stderr.
std::vector<std::string> stderr_lines_of(const std::function<void()>& body) {
  std::FILE* file = std::tmpfile();
  REQUIRE(file);
  const int before = ::dup(STDERR_FILENO);
  ::dup2(::fileno(file), STDERR_FILENO);
  body();
  std::fflush(stderr);
  ::dup2(before, STDERR_FILENO);
  ::close(before);
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  std::istringstream stream(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

struct LevelDuringTest {
  explicit LevelDuringTest(LogLevel level) { set_log_level(level); }
  ~LevelDuringTest() { set_log_level(LogLevel::Info); }
};

TEST_CASE("an event is one line on stderr: time of day in UTC, level, event, fields") {
  const auto lines = stderr_lines_of([] {
    log_info("stage_ready",
             {{"device", DeviceId{3}}, {"epoch", make_epoch(2, 7)}, {"share", 0.25}, {"ok", true}});
    log_warn("link_lost");
    log_error("device_lost", {{"silent_ms", 150}});
  });
  REQUIRE(lines.size() == 3);
  const std::string time = R"(\d\d:\d\d:\d\d\.\d\d\dZ )";
  CHECK(std::regex_match(lines[0],
                         std::regex(time + "info stage_ready device=3 epoch=2\\.7 share=0\\.25 ok=true")));
  CHECK(std::regex_match(lines[1], std::regex(time + "warn link_lost")));
  CHECK(std::regex_match(lines[2], std::regex(time + "error device_lost silent_ms=150")));
}

TEST_CASE(
    "words from outside stay inside their field: quoted where not plain, and never taken for a format") {
  const auto lines = stderr_lines_of([] {
    log_info("said", {{"plain", "word"}, {"spaces", "two words"}, {"empty", ""}, {"format", "{}%v"}});
    log_info("said", {{"hostile", std::string("a\nb\r\"c\\\x1b[2J\xFF")}});
  });
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].ends_with(R"(info said plain=word spaces="two words" empty="" format={}%v)"));
  CHECK(lines[1].ends_with(R"(info said hostile="a\nb\r\"c\\\u001b[2J)"
                           "\xEF\xBF\xBD\""));
}

TEST_CASE("events below the level are not told") {
  CHECK(log_level() == LogLevel::Info);
  const auto told_at = [](LogLevel level) {
    const LevelDuringTest during(level);
    CHECK(log_level() == level);
    return stderr_lines_of([] {
             log_debug("one");
             log_info("two");
             log_warn("three");
             log_error("four");
           })
        .size();
  };
  CHECK(told_at(LogLevel::Debug) == 4);
  CHECK(told_at(LogLevel::Info) == 3);
  CHECK(told_at(LogLevel::Warn) == 2);
  CHECK(told_at(LogLevel::Error) == 1);
  CHECK(told_at(LogLevel::Off) == 0);
}

TEST_CASE("lines of many threads do not mix") {
  constexpr int kThreads = 4;
  constexpr int kLines = 200;
  const std::string long_word(300, 'x');
  const auto lines = stderr_lines_of([&] {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < kLines; ++i) log_info("line", {{"word", long_word}});
      });
    for (std::thread& thread : threads) thread.join();
  });
  REQUIRE(lines.size() == kThreads * kLines);
  const std::string end = "Z info line word=" + long_word;
  for (const std::string& line : lines) CHECK((line.size() == 12 + end.size() && line.ends_with(end)));
}

std::vector<std::string> g_sunk;

TEST_CASE("a sink is given the event and its fields in place of stderr, until it is taken away") {
  set_log_sink([](LogLevel level, std::string_view event, const LogField* fields, std::size_t num_fields) {
    g_sunk.push_back(std::string(name_of(level)) + " " + std::string(event));
    for (std::size_t i = 0; i < num_fields; ++i)
      g_sunk.push_back(std::string(fields[i].key) + "=" + fields[i].value);
  });
  CHECK(stderr_lines_of([] { log_info("told", {{"to", "sink"}}); }).empty());
  set_log_sink(nullptr);
  CHECK(stderr_lines_of([] { log_info("told"); }).size() == 1);
  CHECK(g_sunk == std::vector<std::string>{"info told", "to=sink"});
}

}  // namespace
}  // namespace shoal
