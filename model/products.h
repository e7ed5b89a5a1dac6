#pragma once

#include <cstddef>
#include <span>

#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

namespace shoal {

// What a stage computes with. Views; both outlive the stage.
struct Compute {
  const KernelTable& kernels;
  ThreadPool& pool;
};

// Rows [begin, end) of a set of quantised rows.
QuantisedRows rows_of(const QuantisedRows& all, std::size_t begin, std::size_t end);

// x [num_rows, cols] quantised into `buffer`, rows in parallel. The result views x and buffer.
QuantisedRows quantise(const Compute& compute, const float* x, std::size_t num_rows, std::size_t cols,
                       std::byte* buffer);

// The same of rms_norm(x), which is left in `normed`.
QuantisedRows normalise(const Compute& compute, const float* x, std::span<const float> weight, float eps,
                        std::size_t num_rows, float* normed, std::byte* buffer);

// One product of the same rows: out [num_rows, weights.rows].
struct Product {
  const PanelMatrix& weights;
  float* out;
};

// All products in one parallel step over the panels of all.
void multiply(const Compute& compute, const QuantisedRows& x, std::span<const Product> products);

}  // namespace shoal
