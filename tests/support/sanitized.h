#pragma once

namespace shoal {

// Built with a sanitizer, whose own memory and libraries a test of sizes must not count.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace shoal
