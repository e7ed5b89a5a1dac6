#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace shoal {

// What this device can do, measured with the threads of a pool: plain reads over as many bytes as a decode
// step reads, and int8 multiply-adds on registers. One caller at a time; every call blocks for a tenth of a
// second or so.
class DeviceProbes {
 public:
  // bytes > 0. Errors: OutOfMemory.
  static Result<DeviceProbes> open(std::size_t bytes);

  // With the widest loads of this machine, whichever kernels are being measured.
  double read_bytes_per_second(ThreadPool& pool) const;
  // With the instructions of `kernels`.
  double int8_macs_per_second(const KernelTable& kernels, ThreadPool& pool) const;

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  DeviceProbes(std::unique_ptr<std::byte, FreeMemory> memory, std::size_t bytes)
      : memory_(std::move(memory)), bytes_(bytes) {}

  std::unique_ptr<std::byte, FreeMemory> memory_;
  std::size_t bytes_;
};

}  // namespace shoal
