#include "cli/restart_policy.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

using std::chrono::seconds;

TEST_CASE("a process that keeps dying waits twice as long each time, up to thirty seconds") {
  RestartPolicy policy;
  Time now{};
  for (const int expected : {1, 2, 4, 8, 16, 30, 30}) {
    const Time again = policy.after_end(/*started=*/now, /*ended=*/now + seconds(2));
    CHECK(again == now + seconds(2 + expected));
    now = again;
  }
}

TEST_CASE("a process that ran for a minute begins at one second again") {
  RestartPolicy policy;
  const Time start{};
  for (int i = 0; i < 5; ++i) policy.after_end(start, start);
  CHECK(policy.after_end(start, start + seconds(59)) == start + seconds(59 + 30));
  CHECK(policy.after_end(start, start + seconds(60)) == start + seconds(60 + 1));
}

}  // namespace
}  // namespace shoal
