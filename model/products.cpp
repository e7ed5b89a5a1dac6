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
  if (rows.f32) rows.f32 += begin * all.cols;
  return rows;
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

namespace {

void add_rows(const KernelTable& kernels, const float* from, std::size_t from_stride, float* to,
              std::size_t to_stride, std::size_t width, std::size_t num_rows) {
  for (std::size_t row = 0; row < num_rows; ++row)
    kernels.add(to + row * to_stride, from + row * from_stride, width);
}

// A few panels at a time, so that the second pass finds their weights in the cache.
void multiply_twice(const KernelTable& kernels, const Product& product, Range panels, const QuantisedRows& x,
                    const QuantisedRows& residuals, float* scratch) {
  constexpr std::uint32_t kTogether = kResidualOutputs / kPanelRows;
  const std::size_t size = product.weights.rows;
  for (std::uint32_t begin = panels.begin; begin < panels.end; begin += kTogether) {
    const Range few{begin, std::min(panels.end, begin + kTogether)};
    kernels.matmul(product.weights, few, x, product.out, size);
    // The kernel counts its outputs from the matrix's first on.
    const PanelMatrix part{
        product.weights.type,
        std::min<std::size_t>(size - std::size_t{begin} * kPanelRows, std::size_t{few.size()} * kPanelRows),
        product.weights.cols, product.weights.panels + begin * panel_bytes(product.weights.type, x.cols)};
    kernels.matmul(part, {0, few.size()}, residuals, scratch, kResidualOutputs);
    add_rows(kernels, scratch, kResidualOutputs, product.out + begin * kPanelRows, size, part.rows,
             x.num_rows);
  }
}

}  // namespace

void multiply(const Compute& compute, const QuantisedRows& x, std::span<const Product> products,
              const Residuals& residuals) {
  std::size_t num_panels = 0;
  for (const Product& product : products) num_panels += product.weights.num_panels();
  compute.pool.parallel_for(
      num_panels, kPanelGrain, [&](std::size_t begin, std::size_t end, std::size_t thread) {
        std::size_t first = 0;  // of the product's panels, among those of all
        for (const Product& product : products) {
          const std::size_t next = first + product.weights.num_panels();
          const std::size_t from = std::max(begin, first);
          const std::size_t to = std::min(end, next);
          if (from < to) {
            const Range panels{static_cast<std::uint32_t>(from - first),
                               static_cast<std::uint32_t>(to - first)};
            if (product.takes_residuals) {
              multiply_twice(compute.kernels, product, panels, x, residuals.rows,
                             residuals.products + thread * x.num_rows * kResidualOutputs);
            } else {
              compute.kernels.matmul(product.weights, panels, x, product.out, product.weights.rows);
            }
          }
          first = next;
        }
      });
}

}  // namespace shoal
