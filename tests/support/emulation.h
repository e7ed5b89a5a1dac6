#pragma once

#include <cstddef>

namespace shoal {

// Tests for other processors than x86 mostly run under an emulator, fifty times slower and with threads that
// cost memory for good. Long ones take every kCaseStride-th case there; the whole runs on x86.
#if defined(__x86_64__)
inline constexpr bool kMayBeEmulated = false;
inline constexpr std::size_t kCaseStride = 1;
#else
inline constexpr bool kMayBeEmulated = true;
inline constexpr std::size_t kCaseStride = 11;
#endif

}  // namespace shoal
