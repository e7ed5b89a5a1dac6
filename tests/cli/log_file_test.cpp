#include "cli/log_file.h"

#include <doctest/doctest.h>

#include <filesystem>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

namespace fs = std::filesystem;

TEST_CASE("lines are added to what a log already holds, and only its owner reads it") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("worker.log");
  LogFile::open(path).value().add_line("first");
  LogFile::open(path).value().add_line("second");
  CHECK(content_of(path) == "first\nsecond\n");
  CHECK((fs::status(path).permissions() & fs::perms::mask) ==
        (fs::perms::owner_read | fs::perms::owner_write));
  CHECK_FALSE(LogFile::open(scratch.file("missing/worker.log")));
}

TEST_CASE("a log that grew past sixteen megabytes is kept once under another name") {
  const ScratchFolder scratch;
  const std::string path = scratch.file("worker.log");
  LogFile log = LogFile::open(path).value();
  const std::string line(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) log.add_line(line);
  CHECK(fs::file_size(path) <= 16u << 20);
  CHECK(fs::file_size(path + ".1") <= 16u << 20);
  CHECK(fs::file_size(path + ".1") > 14u << 20);
}

}  // namespace
}  // namespace shoal
