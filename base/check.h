#pragma once

#include <cstdio>
#include <cstdlib>
#include <sstream>

namespace shoal {

[[noreturn]] inline void check_failed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "shoal: broken invariant at %s:%d: %s (a bug in Shoal: please report it)\n", file,
               line, what);
  std::abort();
}

template <typename A, typename B>
[[noreturn]] void check_failed_values(const char* file, int line, const char* what, const A& a, const B& b) {
  std::ostringstream text;
  text << what << " with " << a << " and " << b;
  check_failed(file, line, text.str().c_str());
}

}  // namespace shoal

// A broken invariant is our own bug: stop with file, line and values, in release builds too.
#define SHOAL_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::shoal::check_failed(__FILE__, __LINE__, #condition))
#define SHOAL_CHECK_OP(a, op, b)                                                               \
  do {                                                                                         \
    const auto& check_a_ = (a);                                                                \
    const auto& check_b_ = (b);                                                                \
    if (!(check_a_ op check_b_))                                                               \
      ::shoal::check_failed_values(__FILE__, __LINE__, #a " " #op " " #b, check_a_, check_b_); \
  } while (false)
