#include <limits>

#include "kernels/elementary.h"
#include "kernels/scalar/kernels.h"
#include "kernels/scalar/row_sums.h"

namespace shoal::scalar {

MaxSum max_sum(const float* x, std::size_t n) {
  float max = -std::numeric_limits<float>::infinity();
  for (std::size_t i = 0; i < n; ++i) max = x[i] > max ? x[i] : max;
  max += 0.0f;  // of two zeros the greatest is +0, in whatever order they were met
  float partials[kPartials] = {};
  for (std::size_t i = 0; i < n; ++i) partials[i % kPartials] += exp_f32(x[i] - max);
  return {max, sum_of_partials(partials)};
}

}  // namespace shoal::scalar
