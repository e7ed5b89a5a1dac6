#include "worker/step_window.h"

#include <doctest/doctest.h>

#include "tests/worker/worker_driver.h"

namespace shoal {

using Verdict = StepWindow::Verdict;
using Groups = std::vector<RowGroup>;

TEST_CASE("a sequence starts at position 0 and goes on step by step") {
  StepWindow window;
  const Groups late{group_of(1, 4, 7, 1)};
  CHECK(window.judge(late).verdict == Verdict::Gap);
  CHECK(window.judge(late).expected == StepNumber{0});
  const Groups first{group_of(1, 4, 0, 7)};
  REQUIRE(window.judge(first).verdict == Verdict::Take);
  window.take(first);
  CHECK(window.judge(first).verdict == Verdict::Repeat);
  const Groups skips{group_of(1, 6, 8, 1)};
  const StepWindow::Decision gap = window.judge(skips);
  CHECK(gap.verdict == Verdict::Gap);
  CHECK(gap.expected == StepNumber{5});
  CHECK(gap.group->step == StepNumber{6});
  CHECK(window.judge(Groups{group_of(1, 5, 7, 1)}).verdict == Verdict::Take);
  CHECK(window.judge(Groups{group_of(1, 5, 2, 1)}).verdict == Verdict::Take);  // cut back: rejected drafts
}

TEST_CASE("a frame is taken whole or not at all") {
  StepWindow window;
  window.take(Groups{group_of(1, 1, 0, 3)});
  CHECK(window.judge(Groups{group_of(1, 2, 3, 1), group_of(2, 1, 0, 3)}).verdict == Verdict::Take);
  CHECK(window.judge(Groups{group_of(1, 2, 3, 1), group_of(2, 2, 3, 1)}).verdict == Verdict::Gap);
  CHECK(window.judge(Groups{group_of(1, 1, 0, 3), group_of(2, 1, 0, 3)}).verdict ==
        Verdict::Gap);  // half old, half new
  CHECK(window.num_sequences() == 1);
}

TEST_CASE("a repeat that comes after the close opens nothing again") {
  StepWindow window;
  const Groups first{group_of(1, 1, 0, 3)};
  const Groups close{group_of(1, 2, 3, 0, kCloses)};
  window.take(first);
  window.take(close);
  CHECK(window.num_sequences() == 0);
  CHECK(window.judge(first).verdict == Verdict::Repeat);
  CHECK(window.judge(close).verdict == Verdict::Repeat);
  CHECK(window.judge(Groups{group_of(1, 3, 3, 1)}).verdict == Verdict::Gap);  // it is over
}

TEST_CASE("a sequence that was parked starts anew with its next step and nothing else") {
  StepWindow window;
  window.take(Groups{group_of(1, 1, 0, 3)});
  window.take(Groups{group_of(1, 2, 0, 0, kCloses)});
  CHECK(window.judge(Groups{group_of(1, 4, 0, 3)}).verdict == Verdict::Gap);  // step 3 is under way
  const Groups again{group_of(1, 3, 0, 3)};
  REQUIRE(window.judge(again).verdict == Verdict::Take);
  window.take(again);
  CHECK(window.num_sequences() == 1);
  CHECK(window.judge(again).verdict == Verdict::Repeat);
  const Groups more{group_of(1, 4, 3, 1)};
  REQUIRE(window.judge(more).verdict == Verdict::Take);
  window.take(more);
  window.take(Groups{group_of(1, 5, 0, 0, kCloses)});
  CHECK(window.num_sequences() == 0);
}

TEST_CASE("a repeated frame that closes one sequence and runs another is a repeat") {
  StepWindow window;
  window.take(Groups{group_of(1, 1, 0, 3), group_of(2, 1, 0, 3)});
  const Groups both{group_of(1, 2, 3, 0, kCloses), group_of(2, 2, 3, 1)};
  REQUIRE(window.judge(both).verdict == Verdict::Take);
  window.take(both);
  CHECK(window.judge(both).verdict == Verdict::Repeat);
}

TEST_CASE("closing what nobody knows is taken, and closed sequences are forgotten in the end") {
  StepWindow window;
  for (std::uint64_t s = 1; s <= 5000; ++s) {
    const Groups close{group_of(s, 1, 0, 0, kCloses)};
    REQUIRE(window.judge(close).verdict == Verdict::Take);
    window.take(close);
    window.take(close);  // twice: remembered once
  }
  CHECK(window.num_sequences() == 0);
  CHECK(window.judge(Groups{group_of(5000, 1, 0, 0, kCloses)}).verdict == Verdict::Repeat);
  CHECK(window.judge(Groups{group_of(1, 1, 0, 0, kCloses)}).verdict == Verdict::Take);
}

}  // namespace shoal
