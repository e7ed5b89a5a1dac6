#include "cli/line_reader.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <thread>

namespace shoal {
namespace {

using Outcome = LineReader::Outcome;

struct TestPipe {
  int ends[2] = {-1, -1};
  TestPipe() { REQUIRE(::pipe(ends) == 0); }
  ~TestPipe() {
    ::close(ends[0]);
    close_writer();
  }
  TestPipe(const TestPipe&) = delete;
  TestPipe& operator=(const TestPipe&) = delete;
  void write(const std::string& text) const {
    REQUIRE(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
};

TEST_CASE("lines come whole, however they were written, and the last one needs no newline") {
  TestPipe pipe;
  const std::atomic<bool> no_interrupt{false};
  LineReader reader(pipe.ends[0]);
  std::string line;
  pipe.write("one\r\ntwo\n\nlast");
  pipe.close_writer();
  for (const char* expected : {"one", "two", "", "last"}) {
    CHECK(reader.read(line, no_interrupt) == Outcome::Line);
    CHECK(line == expected);
  }
  CHECK(reader.read(line, no_interrupt) == Outcome::End);
  CHECK(reader.read(line, no_interrupt) == Outcome::End);
}

TEST_CASE("an interrupt ends the wait and the line that was begun is kept") {
  const TestPipe pipe;
  std::atomic<bool> interrupt{false};
  LineReader reader(pipe.ends[0]);
  std::string line;
  pipe.write("half ");
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    interrupt = true;
  });
  CHECK(reader.read(line, interrupt) == Outcome::Interrupted);
  other.join();
  interrupt = false;
  pipe.write("a line\n");
  CHECK(reader.read(line, interrupt) == Outcome::Line);
  CHECK(line == "half a line");
}

}  // namespace
}  // namespace shoal
