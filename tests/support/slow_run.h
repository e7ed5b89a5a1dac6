#pragma once

#include <cstddef>

namespace shoal {

// Under sanitizers, and for other processors than x86, whose tests mostly run under an emulator, everything
// takes ten to fifty times as long (and an emulator keeps the memory of every thread that ended). Long tests
// take every kCaseStride-th case there; the whole runs in the plain x86 build.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
inline constexpr bool kIsSlowRun = false;
inline constexpr std::size_t kCaseStride = 1;
#else
inline constexpr bool kIsSlowRun = true;
inline constexpr std::size_t kCaseStride = 11;
#endif

}  // namespace shoal
