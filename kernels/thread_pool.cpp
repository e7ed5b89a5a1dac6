#include "kernels/thread_pool.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/checked_math.h"

namespace shoal {
namespace {

constexpr std::chrono::microseconds kSpin{50};  // a layer's serial work between two jobs is shorter than this
constexpr int kPausesBetweenLooks = 64;         // at the clock

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Spins until `ready` or for kSpin. True when ready.
template <typename Ready>
bool spin_until(Ready&& ready) {
  const auto give_up = std::chrono::steady_clock::now() + kSpin;
  while (true) {
    for (int i = 0; i < kPausesBetweenLooks; ++i) {
      if (ready()) return true;
      pause();
    }
    if (std::chrono::steady_clock::now() >= give_up) return ready();
  }
}

constexpr std::size_t kClosed = 0xffffffff;  // as a claim's next item: nothing to take

constexpr std::uint64_t claim_of(std::uint32_t job_number, std::size_t next) {
  return std::uint64_t{job_number} << 32 | next;
}
constexpr std::uint32_t job_number_of(std::uint64_t claim) { return static_cast<std::uint32_t>(claim >> 32); }
constexpr std::size_t next_of(std::uint64_t claim) { return static_cast<std::uint32_t>(claim); }

}  // namespace

// A job's fields are atomics because a thread that comes late may read them while the next job is written. It
// uses what it read only after its claim succeeded. run() closes the claim before it writes a field
// (release), and a thread reads the fields (acquire) before it claims: who saw a newer field therefore fails
// to claim for the older job. So run() need not wait for threads that took no part.
struct ThreadPool::State {
  alignas(64) std::atomic<std::uint64_t> claim{0};  // the job's number, and its first item not yet taken
  std::atomic<std::size_t> count{0};
  std::atomic<std::size_t> grain{1};
  std::atomic<Job> job{nullptr};
  std::atomic<void*> context{nullptr};
  alignas(64) std::atomic<std::uint32_t> published{0};  // number of the newest job; workers park on it
  alignas(64) std::atomic<std::uint32_t> done{0};       // items of the newest job; the caller parks on it
  std::atomic<std::size_t> finished{0};
  std::atomic<bool> stopping{false};
  std::size_t num_threads = 1;
  std::vector<std::thread> workers;

  void work_on(std::uint32_t job_number, std::size_t thread);
  void worker_loop(std::size_t thread);
  void finish(std::size_t items, std::size_t of);
};

// Guided slices: a share of what is left, never below the grain.
void ThreadPool::State::work_on(std::uint32_t job_number, std::size_t thread) {
  std::uint64_t seen = claim.load(std::memory_order_acquire);
  while (job_number_of(seen) == job_number) {
    const std::size_t begin = next_of(seen);
    const std::size_t total = count.load(std::memory_order_acquire);
    if (begin >= total) return;
    const std::size_t left = total - begin;
    const std::size_t share =
        std::max(grain.load(std::memory_order_acquire), div_ceil(left, 2 * num_threads));
    const std::size_t end = begin + std::min(left, share);
    const Job run_slice = job.load(std::memory_order_acquire);
    void* const slice_context = context.load(std::memory_order_acquire);
    if (!claim.compare_exchange_weak(seen, claim_of(job_number, end), std::memory_order_acq_rel,
                                     std::memory_order_acquire)) {
      continue;
    }
    run_slice(slice_context, begin, end, thread);
    finish(end - begin, total);
    seen = claim.load(std::memory_order_acquire);
  }
}

void ThreadPool::State::finish(std::size_t items, std::size_t of) {
  finished.fetch_add(items, std::memory_order_relaxed);
  const std::uint32_t added = static_cast<std::uint32_t>(items);
  if (done.fetch_add(added, std::memory_order_acq_rel) + added == of) done.notify_all();
}

void ThreadPool::State::worker_loop(std::size_t thread) {
  std::uint32_t taken = 0;
  while (true) {
    const auto news = [&] { return published.load(std::memory_order_acquire) != taken; };
    if (!spin_until(news)) published.wait(taken, std::memory_order_acquire);
    // In this order: whoever takes the number that the end publishes has seen `stopping`.
    taken = published.load(std::memory_order_acquire);
    if (stopping.load(std::memory_order_acquire)) return;
    work_on(taken, thread);
  }
}

ThreadPool::ThreadPool(std::size_t num_threads) : state_(std::make_unique<State>()) {
  SHOAL_CHECK(num_threads >= 1);
  state_->num_threads = num_threads;
  for (std::size_t thread = 1; thread < num_threads; ++thread) {
    state_->workers.emplace_back([state = state_.get(), thread] { state->worker_loop(thread); });
  }
}

ThreadPool::~ThreadPool() {
  state_->stopping.store(true, std::memory_order_release);
  state_->published.fetch_add(1, std::memory_order_release);
  state_->published.notify_all();
  for (std::thread& worker : state_->workers) worker.join();
}

std::size_t ThreadPool::num_threads() const { return state_->num_threads; }

std::size_t ThreadPool::finished() const { return state_->finished.load(std::memory_order_relaxed); }

void ThreadPool::run(std::size_t count, std::size_t grain, Job job, void* context) {
  SHOAL_CHECK(count < kClosed);
  if (count == 0) return;
  State& s = *state_;
  if (count <= grain || s.num_threads == 1) {
    job(context, 0, count, 0);
    s.finished.fetch_add(count, std::memory_order_relaxed);
    return;
  }
  const std::uint32_t job_number = s.published.load(std::memory_order_relaxed) + 1;
  s.claim.store(claim_of(job_number, kClosed), std::memory_order_relaxed);
  s.count.store(count, std::memory_order_release);
  s.grain.store(std::max<std::size_t>(grain, 1), std::memory_order_release);
  s.job.store(job, std::memory_order_release);
  s.context.store(context, std::memory_order_release);
  s.done.store(0, std::memory_order_release);
  s.claim.store(claim_of(job_number, 0), std::memory_order_release);
  // Sequentially consistent: notify_all looks whether anybody waits, and that look must not pass the store,
  // or a thread about to park sleeps through the job.
  s.published.store(job_number, std::memory_order_seq_cst);
  s.published.notify_all();

  s.work_on(job_number, 0);
  const auto complete = [&] { return s.done.load(std::memory_order_acquire) == count; };
  if (spin_until(complete)) return;
  for (std::uint32_t seen = s.done.load(std::memory_order_acquire); seen != count;
       seen = s.done.load(std::memory_order_acquire)) {
    s.done.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace shoal
