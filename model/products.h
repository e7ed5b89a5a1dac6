#pragma once

#include <cstddef>
#include <span>

#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/op_times.h"

namespace shoal {

// What a stage computes with. Views; both outlive the stage.
struct Compute {
  const KernelTable& kernels;
  ThreadPool& pool;
  OpTimes* times = nullptr;  // where somebody measures

  void end(Operation operation) const {
    if (times) times->end(operation);
  }
};

// Rows [begin, end) of a set of quantised rows.
QuantisedRows rows_of(const QuantisedRows& all, std::size_t begin, std::size_t end);

// x [num_rows, cols] quantised into `buffer`, rows in parallel. The result views x and buffer.
QuantisedRows quantise(const Compute& compute, const float* x, std::size_t num_rows, std::size_t cols,
                       std::byte* buffer);

// rms_norm(x), left in `out.f32`, quantised into `out`. x may be out.f32.
void normalise(const Compute& compute, const float* x, std::span<const float> weight, float eps,
               const QuantisedRows& out);

// One product of the same rows: out [num_rows, weights.rows].
struct Product {
  const PanelMatrix& weights;
  float* out;
};

// All products in one parallel step over the panels of all.
void multiply(const Compute& compute, const QuantisedRows& x, std::span<const Product> products);

}  // namespace shoal
