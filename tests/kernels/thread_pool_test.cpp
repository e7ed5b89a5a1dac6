#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "kernels/thread_pool.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"

using namespace shoal;

namespace {

double process_cpu_seconds() {
  timespec time = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

TEST_CASE("every item runs exactly once, whatever the count, grain and number of threads") {
  for (const std::size_t threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.num_threads() == threads);
    for (const std::size_t count : {0, 1, 2, 7, 64, 1000}) {
      for (const std::size_t grain : {0, 1, 5, 64, 5000}) {
        CAPTURE(threads);
        CAPTURE(count);
        CAPTURE(grain);
        std::vector<int> runs(count, 0);  // plain: slices are disjoint, and run() returns after the last
        pool.parallel_for(count, grain, [&](std::size_t begin, std::size_t end, std::size_t thread) {
          if (thread >= threads || begin >= end || end > count) std::abort();
          for (std::size_t i = begin; i < end; ++i) ++runs[i];
        });
        CHECK(std::all_of(runs.begin(), runs.end(), [](int n) { return n == 1; }));
      }
    }
  }
}

TEST_CASE("slices hold at least the grain, but for the last") {
  ThreadPool pool(4);
  std::mutex mutex;
  std::vector<std::pair<std::size_t, std::size_t>> slices;
  pool.parallel_for(1003, 10, [&](std::size_t begin, std::size_t end, std::size_t) {
    const std::lock_guard lock(mutex);
    slices.emplace_back(begin, end);
  });
  std::sort(slices.begin(), slices.end());
  std::size_t at = 0;
  for (const auto& [begin, end] : slices) {
    CHECK(begin == at);
    CHECK((end - begin >= 10 || end == 1003));
    at = end;
  }
  CHECK(at == 1003);
  CHECK(slices.size() > 4);
}

TEST_CASE("no more items than the grain stay on the caller's thread") {
  ThreadPool pool(4);
  const std::thread::id caller = std::this_thread::get_id();
  for (int i = 0; i < 50; ++i) {
    bool here = false;
    pool.parallel_for(8, 8, [&](std::size_t begin, std::size_t end, std::size_t thread) {
      here = std::this_thread::get_id() == caller && thread == 0 && begin == 0 && end == 8;
    });
    CHECK(here);
  }
}

TEST_CASE("a thread keeps its number, so scratch by number is private") {
  ThreadPool pool(3);
  std::vector<std::set<std::thread::id>> seen(
      3);  // unsynchronised on purpose: a thread sanitizer would object
  for (int i = 0; i < 200; ++i) {
    pool.parallel_for(100, 1, [&](std::size_t, std::size_t, std::size_t thread) {
      seen[thread].insert(std::this_thread::get_id());
    });
  }
  for (const auto& ids : seen) CHECK(ids.size() <= 1);
}

TEST_CASE(
    "what the caller wrote before is seen by the job, and what the job wrote by the caller, over many jobs") {
  ThreadPool pool(4);
  Random random(81);
  std::vector<std::uint64_t> values(257);
  for (std::uint64_t round = 0; round < 5000; ++round) {
    const std::size_t count = 1 + random.below(values.size() - 1);
    std::uint64_t addend = round;  // a fresh context on the stack each time
    pool.parallel_for(count, 1 + random.below(9), [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) values[i] = addend + i;
    });
    for (std::size_t i = 0; i < count; ++i) REQUIRE(values[i] == round + i);
  }
}

TEST_CASE("threads that have parked wake for the next job") {
  ThreadPool pool(3);
  for (int round = 0; round < 10; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
    std::atomic<int> sum{0};
    pool.parallel_for(30, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      sum.fetch_add(static_cast<int>(end - begin));
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    });
    CHECK(sum.load() == 30);
  }
}

TEST_CASE("a slow thread does not hold up the rest: the others take its share") {
  ThreadPool pool(2);
  std::atomic<std::size_t> slow_items{0};
  pool.parallel_for(64, 1, [&](std::size_t begin, std::size_t end, std::size_t thread) {
    std::this_thread::sleep_for(std::chrono::microseconds((thread == 0 ? 3000 : 300) * (end - begin)));
    if (thread == 0) slow_items.fetch_add(end - begin);
  });
  CHECK(slow_items.load() < 40);
}

TEST_CASE("an idle pool burns no core") {
  ThreadPool pool(4);
  pool.parallel_for(100, 1, [](std::size_t, std::size_t, std::size_t) {});
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double before = process_cpu_seconds();
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  CHECK(process_cpu_seconds() - before < 0.02);
}

TEST_CASE("finished counts the items of all jobs") {
  ThreadPool pool(2);
  pool.parallel_for(100, 1, [](std::size_t, std::size_t, std::size_t) {});
  pool.parallel_for(5, 10, [](std::size_t, std::size_t, std::size_t) {});
  CHECK(pool.finished() == 105);
}

TEST_CASE("a pool may end at once, parked or not, and while threads still look at its last job") {
  constexpr int kPools = kIsSlowRun ? 500 : 12000;  // the race took one in some thousands
  for (int i = 0; i < kPools; ++i) {
    ThreadPool pool(2 + static_cast<std::size_t>(i % 7));
    if (i % 4 != 0) pool.parallel_for(10, 1, [](std::size_t, std::size_t, std::size_t) {});
  }
}
