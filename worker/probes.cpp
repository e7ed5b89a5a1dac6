#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "base/bounded_queue.h"
#include "worker/profile.h"

// Of the device itself, whatever the model.
namespace shoal {
namespace {

constexpr std::uint64_t kReadBytes = 48 << 20;  // beyond private caches, small enough for a small device
constexpr int kReads = 4;
constexpr int kHandOvers = 31;
constexpr int kWarmUps = 5;
constexpr int kGiveUpMs = 1000;  // an answer takes microseconds

using Moment = std::chrono::steady_clock::time_point;

Moment moment() { return std::chrono::steady_clock::now(); }

double seconds_since(Moment start) {
  return std::chrono::duration<double>(moment() - start).count();
}

}  // namespace

double measure_read_bandwidth(ThreadPool& pool) {
  const std::unique_ptr<std::uint64_t, decltype(&std::free)> memory(
      static_cast<std::uint64_t*>(std::aligned_alloc(64, kReadBytes)), &std::free);
  if (!memory) return 0;
  std::memset(memory.get(), 1, kReadBytes);
  const std::size_t slices = pool.num_threads() * 4;
  const std::size_t per_slice = kReadBytes / sizeof(std::uint64_t) / slices;
  std::vector<std::uint64_t> sums(slices);
  double best = 0;
  for (int run = 0; run < kReads; ++run) {
    const Moment start = moment();
    pool.parallel_for(slices, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t s = begin; s < end; ++s) {
        std::array<std::uint64_t, 8> lanes{};  // independent sums, so that the adds do not hide the loads
        const std::uint64_t* from = memory.get() + s * per_slice;
        for (std::size_t i = 0; i + 8 <= per_slice; i += 8) {
          for (std::size_t lane = 0; lane < 8; ++lane) lanes[lane] += from[i + lane];
        }
        for (const std::uint64_t lane : lanes) sums[s] += lane;
      }
    });
    best = std::max(best, static_cast<double>(kReadBytes) / seconds_since(start));
  }
  return best;
}

double measure_hand_over() {
  const int wake = ::eventfd(0, EFD_CLOEXEC);
  if (wake < 0) return 0;
  BoundedQueue<int> work(1);
  std::thread reactor([&] {
    pollfd ready{.fd = wake, .events = POLLIN, .revents = 0};
    std::uint64_t count = 0;
    for (int i = 0; i < kWarmUps + kHandOvers; ++i) {
      if (::poll(&ready, 1, kGiveUpMs) != 1 || ::read(wake, &count, sizeof count) != sizeof count) break;
      (void)work.try_push(i);
    }
    work.close();
  });
  std::vector<double> times;
  for (int i = 0; i < kWarmUps + kHandOvers; ++i) {
    const Moment start = moment();
    const std::uint64_t one = 1;
    if (::write(wake, &one, sizeof one) != sizeof one || !work.pop()) break;
    if (i >= kWarmUps) times.push_back(seconds_since(start));
  }
  reactor.join();
  ::close(wake);
  if (times.empty()) return 0;
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::ranges::nth_element(times, middle);
  return *middle;
}

}  // namespace shoal
