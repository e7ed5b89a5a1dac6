#include "base/file_limit.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace shoal {

TEST_CASE("a process that was started with few files may open as many as the system grants") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    rlimit limit{};
    const bool lowered = ::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max >= 100;
    limit.rlim_cur = 50;
    const bool few = lowered && ::setrlimit(RLIMIT_NOFILE, &limit) == 0;
    const std::size_t raised = raise_file_limit();
    const bool can = ::dup2(0, 99) == 99;
    ::_exit(few && can && raised == limit.rlim_max ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

}  // namespace shoal
