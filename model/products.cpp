#include "model/products.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr std::size_t kPanelGrain = 4;  // panels that are worth handing to a thread

}  // namespace

QuantisedRows rows_of(const QuantisedRows& all, std::size_t begin, std::size_t end) {
  const std::size_t first_block = begin * all.num_blocks();
  QuantisedRows rows = all;
  rows.num_rows = end - begin;
  rows.values += first_block * kActivationBlock;
  rows.scales += first_block;
  rows.scaled_sums += first_block;
  rows.half_sums += 2 * first_block;
  rows.f32 += begin * all.cols;
  return rows;
}

QuantisedRows quantise(const Compute& compute, const float* x, std::size_t num_rows, std::size_t cols,
                       std::byte* buffer) {
  const QuantisedRows all = quantised_rows_in(buffer, num_rows, cols, x);
  compute.pool.parallel_for(num_rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    compute.kernels.quantise_rows(x + begin * cols, end - begin, rows_of(all, begin, end));
  });
  return all;
}

void normalise(const Compute& compute, const float* x, std::span<const float> weight, float eps,
               const QuantisedRows& out) {
  const std::size_t size = weight.size();
  float* normed = const_cast<float*>(out.f32);  // the caller's scratch; products only read it
  compute.pool.parallel_for(out.num_rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    compute.kernels.rms_norm(x + begin * size, weight.data(), normed + begin * size, end - begin, size, eps);
    compute.kernels.quantise_rows(normed + begin * size, end - begin, rows_of(out, begin, end));
  });
}

void multiply(const Compute& compute, const QuantisedRows& x, std::span<const Product> products) {
  std::size_t num_panels = 0;
  for (const Product& product : products) num_panels += product.weights.num_panels();
  compute.pool.parallel_for(num_panels, kPanelGrain, [&](std::size_t begin, std::size_t end, std::size_t) {
    std::size_t first = 0;  // of the product's panels, among those of all
    for (const Product& product : products) {
      const std::size_t next = first + product.weights.num_panels();
      const std::size_t from = std::max(begin, first);
      const std::size_t to = std::min(end, next);
      if (from < to) {
        const Range panels{static_cast<std::uint32_t>(from - first), static_cast<std::uint32_t>(to - first)};
        compute.kernels.matmul(product.weights, panels, x, product.out, product.weights.rows);
      }
      first = next;
    }
  });
}

}  // namespace shoal
