#include "worker/sent_log.h"

#include <doctest/doctest.h>

#include <cstring>
#include <thread>

#include "tests/support/allocation_counter.h"
#include "tests/worker/worker_driver.h"
#include "transport/limits.h"

namespace shoal {
namespace {

SharedBuffer rows_of(SharedBufferPool& pool, std::size_t bytes, int value) {
  SharedBuffer rows = pool.take(bytes);
  std::memset(rows.data(), value, bytes);
  return rows;
}

StepFrame step(std::uint64_t number) {
  return frame_of(Epoch{1}, 1, {group_of(1, number, static_cast<std::uint32_t>(number), 1)}, 0);
}

CandidatesFrame candidates(std::uint64_t number) {
  CandidatesFrame frame{
      .epoch = Epoch{1},
      .stage = 2,
      .groups = {group_of(1, number, static_cast<std::uint32_t>(number), 1, kWantsLastRow)}};
  frame.rows.push_back({.sequence = SequenceId{1},
                        .step = StepNumber{number},
                        .raw = {{1, 2}, {3, 4}},
                        .by_raw = {{.id = 5, .logit = 6}}});
  return frame;
}

}  // namespace

TEST_CASE("the log answers with exactly what was sent") {
  SharedBufferPool pool;
  SentLog log;
  StepFrame frame = step(1);
  frame.opens.push_back(
      {.sequence = SequenceId{1}, .depth = 40, .params = {.seed = 9, .logit_bias = {{3, 1.5f}}}});
  frame.sent_at_ns = 77;
  log.keep(0, frame, rows_of(pool, 100, 7));
  log.keep(2, candidates(1));
  const SentLog::Entry* sent = log.find(0, frame.groups);
  REQUIRE(sent);
  CHECK_FALSE(sent->has_candidates);
  CHECK(sent->rows.size() == 100);
  CHECK(sent->rows.bytes()[99] == std::byte{7});
  StepFrame again;
  copy_header(sent->frame, again);
  CHECK(again == frame);
  CHECK(log.find(2, candidates(1).groups)->candidates == candidates(1));
  CHECK_FALSE(log.find(1, frame.groups));
  CHECK_FALSE(log.find(0, step(2).groups));
  CHECK_FALSE(log.find(0, candidates(1).groups));  // other flags: another step
}

TEST_CASE("the oldest leave when the budget is spent, and the newest always stays") {
  SharedBufferPool pool;
  SentLog log;
  log.set_budget(10'000);
  for (std::uint64_t n = 1; n <= 50; ++n) {
    log.keep(0, step(n), rows_of(pool, 1000, static_cast<int>(n)));
    CHECK(log.held_bytes() <= 10'000);
    const SentLog::Entry* newest = log.find(0, step(n).groups);
    REQUIRE(newest);
    CHECK(newest->rows.bytes()[0] == static_cast<std::byte>(n));
  }
  CHECK(log.num_entries() >= 5);
  CHECK_FALSE(log.find(0, step(1).groups));
  CHECK(log.find(0, step(49).groups));
  log.keep(0, step(51), rows_of(pool, 50'000, 1));
  CHECK(log.num_entries() == 1);
  CHECK(log.find(0, step(51).groups));
  log.clear();
  CHECK(log.held_bytes() == 0);
  CHECK_FALSE(log.find(0, step(51).groups));
}

TEST_CASE("what a sequence's opening carries counts against the budget") {
  SentLog log;
  StepFrame frame = step(1);
  log.keep(0, frame, {});
  const std::size_t plain = log.held_bytes();
  frame.opens.push_back(
      {.sequence = SequenceId{1}, .depth = 1, .params = {.logit_bias = std::vector<LogitBias>(300)}});
  log.keep(0, frame, {});
  CHECK(log.held_bytes() >= 2 * plain + 300 * sizeof(LogitBias));
}

TEST_CASE("after warm-up keeping a step allocates nothing") {
  SharedBufferPool pool;
  SentLog log;
  log.set_budget(100'000);
  const StepFrame frame = step(1);
  const CandidatesFrame answer = candidates(1);
  for (int i = 0; i < 200; ++i) log.keep(0, frame, pool.take(2304)), log.keep(2, answer);
  const std::size_t before = num_allocations();
  for (int i = 0; i < 200; ++i) log.keep(0, frame, pool.take(2304)), log.keep(2, answer);
  CHECK(num_allocations() == before);
}

TEST_CASE("what the log holds in truth stays within its budget, whatever came before") {
  const std::size_t budget = 1 << 20;
  SharedBufferPool pool;
  SentLog log;
  log.set_budget(budget);
  const std::size_t before = live_bytes();
  SUBCASE("long answers after a ring of short ones") {
    for (std::uint64_t n = 1; n <= 2000; ++n) log.keep(2, candidates(n));
    for (std::uint64_t n = 1; n <= 2000; ++n) {
      CandidatesFrame answer = candidates(n);
      answer.rows.front().by_raw.resize(4000);
      log.keep(2, answer);
    }
  }
  SUBCASE("buffers of large micro-batches among those of single rows") {
    for (std::uint64_t n = 1; n <= 4000; ++n) log.keep(0, step(n), rows_of(pool, n % 2 ? 60'000 : 2000, 1));
    for (std::uint64_t n = 1; n <= 4000; ++n) log.keep(0, step(n), rows_of(pool, n % 16 ? 2000 : 60'000, 1));
  }
  const std::size_t idle = 2 << 20;  // of the pool
  CHECK(live_bytes() - before < budget + budget / 2 + idle);
  log.clear();
  CHECK(live_bytes() - before <= idle + (64 << 10));
}

TEST_CASE("after warm-up steps of changing size allocate nothing either") {
  SharedBufferPool pool;
  SentLog log;
  log.set_budget(1 << 20);
  const StepFrame frame = step(1);
  const auto some_steps = [&] {
    for (std::size_t i = 0; i < 600; ++i) log.keep(0, frame, pool.take(2304 * (1 + i % 32)));
  };
  for (int round = 0; round < 5; ++round) some_steps();
  const std::size_t before = num_allocations();
  some_steps();
  CHECK(num_allocations() == before);
}

TEST_CASE("rows are cut into chunks that share one buffer and outlive the log and the pool") {
  std::vector<Payload> chunks;
  {
    SharedBufferPool pool;
    SentLog log;
    SharedBuffer rows = rows_of(pool, 2 * kMaxPayloadChunkBytes + 8, 3);
    log.keep(0, step(1), rows);
    fill_payload(rows, chunks);
    fill_payload(rows, chunks);  // in place of what was there
  }
  REQUIRE(chunks.size() == 3);
  CHECK(chunks[0].size() == kMaxPayloadChunkBytes);
  CHECK(chunks[2].size() == 8);
  CHECK(chunks[1].bytes().data() == chunks[0].bytes().data() + kMaxPayloadChunkBytes);
  CHECK(chunks[2].bytes()[7] == std::byte{3});
}

TEST_CASE("buffers go back to their pool from any thread") {
  SharedBufferPool pool;
  for (int round = 0; round < 200; ++round) {
    SharedBuffer rows = rows_of(pool, 64, round & 127);
    std::thread other([copy = rows] { CHECK(copy.bytes().size() == 64); });
    rows = pool.take(32);
    other.join();
    CHECK(rows.size() == 32);
  }
}

}  // namespace shoal
