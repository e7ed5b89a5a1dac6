#include "cli/bench_probes.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>

#include "base/checked_math.h"

namespace shoal {
namespace {

using Seconds = std::chrono::duration<double>;
using SteadyTime = std::chrono::steady_clock;

constexpr std::size_t kPage = 4096;
constexpr double kReadSeconds = 0.1;
constexpr double kPeakSeconds = 0.02;
constexpr double kSliceSeconds = 2e-4;  // of register work: long beside a wake, short beside a time slice
constexpr std::size_t kSlices = 64;     // per pass

double seconds_since(SteadyTime::time_point start) { return Seconds(SteadyTime::now() - start).count(); }

// Rounds that keep one thread busy for about kSliceSeconds.
std::size_t rounds_of_a_slice(const KernelTable& kernels) {
  for (std::size_t rounds = 1024;; rounds *= 2) {
    const auto start = SteadyTime::now();
    kernels.int8_peak(rounds);
    if (seconds_since(start) >= kSliceSeconds) return rounds;
  }
}

}  // namespace

Result<DeviceProbes> DeviceProbes::open(std::size_t bytes) {
  const std::size_t size = align_up(bytes, kPage);
  std::unique_ptr<std::byte, FreeMemory> memory(static_cast<std::byte*>(std::aligned_alloc(kPage, size)));
  if (!memory)
    return fail(ErrorCode::OutOfMemory,
                "no memory for " + std::to_string(size) + " bytes to measure reads over");
  std::memset(memory.get(), 1, size);
  return DeviceProbes(std::move(memory), size);
}

double DeviceProbes::read_bytes_per_second(ThreadPool& pool) const {
  const KernelTable& widest = *runnable_kernels().back();
  std::atomic<std::uint64_t> sum{0};  // so that the reads are for something
  const std::size_t pages = bytes_ / kPage;
  const auto start = SteadyTime::now();
  std::size_t passes = 0;
  while (passes == 0 || seconds_since(start) < kReadSeconds) {
    pool.parallel_for(pages, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      sum += widest.read_all(memory_.get() + begin * kPage, (end - begin) * kPage);
    });
    ++passes;
  }
  return static_cast<double>(passes) * static_cast<double>(bytes_) / seconds_since(start);
}

double DeviceProbes::int8_macs_per_second(const KernelTable& kernels, ThreadPool& pool) const {
  const std::size_t rounds = rounds_of_a_slice(kernels);
  std::atomic<std::uint64_t> macs{0};
  const auto start = SteadyTime::now();
  do {
    pool.parallel_for(kSlices, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t slice = begin; slice < end; ++slice) macs += kernels.int8_peak(rounds);
    });
  } while (seconds_since(start) < kPeakSeconds);
  return static_cast<double>(macs) / seconds_since(start);
}

}  // namespace shoal
