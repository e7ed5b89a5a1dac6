#pragma once

#include <cstddef>

namespace shoal {

// What operator new has done in this process, all threads together. A test binary that calls any of these
// gets our operator new.
std::size_t num_allocations();
std::size_t live_bytes();

// The most bytes alive at once since construction, beyond those alive then.
class PeakMemory {
 public:
  PeakMemory();
  std::size_t bytes() const;

 private:
  std::size_t before_;
};

}  // namespace shoal
