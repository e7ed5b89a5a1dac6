#pragma once

#include <cstddef>

namespace shoal::scalar {

inline constexpr std::size_t kPartials = 16;

// docs/ARITHMETIC.md, "Sums along a row": the tree over the 16 partial sums.
inline float sum_of_partials(float* partials) {
  for (std::size_t step = kPartials / 2; step > 0; step /= 2) {
    for (std::size_t k = 0; k < step; ++k) partials[k] += partials[k + step];
  }
  return partials[0];
}

}  // namespace shoal::scalar
