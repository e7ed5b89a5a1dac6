#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "worker/profile.h"

namespace shoal {
namespace {

constexpr std::uint64_t kReadBytes = 48 << 20;  // beyond private caches, small enough for a small device
constexpr int kReads = 4;

using Moment = std::chrono::steady_clock::time_point;

Moment moment() { return std::chrono::steady_clock::now(); }

double seconds_since(Moment start) { return std::chrono::duration<double>(moment() - start).count(); }

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

}  // namespace shoal
