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

// rms_norm(x), left in `out.f32`, quantised into `out`. x may be out.f32.
void normalise(const Compute& compute, const float* x, std::span<const float> weight, float eps,
               const QuantisedRows& out);

// One product of the same rows: out [num_rows, weights.rows].
struct Product {
  const PanelMatrix& weights;
  float* out;
  bool takes_residuals = false;  // adds the product of every row's residual (docs/ARITHMETIC.md, "Two terms")
};

// What quantising left of all rows of x, quantised; and scratch for its products. Empty: none is asked for.
inline constexpr std::size_t kResidualOutputs = 64;  // whose products a thread holds at a time
struct Residuals {
  QuantisedRows rows;
  float* products = nullptr;  // [threads, num_rows, kResidualOutputs]
};

// All products in one parallel step over the panels of all.
void multiply(const Compute& compute, const QuantisedRows& x, std::span<const Product> products,
              const Residuals& residuals = {});

}  // namespace shoal
