#pragma once

#include <cstddef>
#include <cstdint>

// Letters beyond ASCII. Each table is sorted by code point. Letters whose other case is several code points
// (ß, ﬁ) have no row and keep their form.
namespace shoal::jinja {

// first, first + stride, ... last change case by adding delta.
struct CaseRange {
  char32_t first, last;
  std::int32_t stride, delta;
};
struct CodePointRange {
  char32_t first, last;  // both in the range
};

extern const CaseRange kToLower[];
extern const std::size_t kNumToLower;
extern const CaseRange kToUpper[];
extern const std::size_t kNumToUpper;
extern const CodePointRange kLetters[];
extern const std::size_t kNumLetters;

}  // namespace shoal::jinja
