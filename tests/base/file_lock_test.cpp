#include "base/file_lock.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>

namespace shoal {
namespace {

std::string scratch_path(const char* name) {
  return (std::filesystem::temp_directory_path() / (std::string(name) + "." + std::to_string(::getpid())))
      .string();
}

}  // namespace

TEST_CASE("one at a time holds a file's lock, until it is given up") {
  const std::string path = scratch_path("shoal-lock-test");
  Result<std::optional<FileLock>> first = FileLock::try_take(path);
  REQUIRE(first);
  REQUIRE(*first);
  const Result<std::optional<FileLock>> second = FileLock::try_take(path);
  REQUIRE(second);
  CHECK_FALSE(*second);
  {
    const FileLock moved = **std::move(first);
    CHECK_FALSE(*FileLock::try_take(path));
  }
  CHECK(*FileLock::try_take(path));
  std::filesystem::remove(path);
}

TEST_CASE("a lock that cannot be opened is an error with its path") {
  const std::string path = scratch_path("shoal-no-such-folder") + "/lock";
  const Result<std::optional<FileLock>> lock = FileLock::try_take(path);
  REQUIRE_FALSE(lock);
  CHECK(lock.error().message() == "opening " + path + ": No such file or directory");
}

}  // namespace shoal
