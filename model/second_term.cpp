#include "model/second_term.h"

#include <algorithm>
#include <array>

namespace shoal {
namespace {

constexpr float kOutlierFactor = 16.0f;  // greatest scale over the mean scale of the row's blocks

std::size_t choose_rows(const SecondTermScratch& scratch, std::size_t num_rows) {
  std::size_t count = 0;
  for (std::size_t row = 0; row < num_rows; ++row) {
    if (scratch.has_outlier[row]) scratch.rows[count++] = static_cast<std::uint32_t>(row);
  }
  return count;
}

QuantisedRows quantise_residuals(const Compute& compute, const QuantisedRows& x,
                                 std::span<const std::uint32_t> rows, const SecondTermScratch& scratch) {
  const QuantisedRows residual = quantised_rows_in(scratch.quantised, rows.size(), x.cols, scratch.residual);
  compute.pool.parallel_for(rows.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    for (std::size_t i = begin; i < end; ++i)
      compute.kernels.subtract_quantised(rows_of(x, rows[i], rows[i] + 1), scratch.residual + i * x.cols);
    compute.kernels.quantise_rows(scratch.residual + begin * x.cols, end - begin,
                                  rows_of(residual, begin, end));
  });
  return residual;
}

}  // namespace

bool has_second_term(const PanelMatrix& weights) {
  return weights.type != WeightType::F32 && weights.type != WeightType::F16 &&
         weights.type != WeightType::BF16;
}

bool has_outlier(const QuantisedRows& x, std::size_t row) {
  const std::size_t num_blocks = x.num_blocks();
  const float* scales = x.scales + row * num_blocks;
  float sum = 0;
  float greatest = 0;
  for (std::size_t block = 0; block < num_blocks; ++block) {
    sum += scales[block];
    greatest = std::max(greatest, scales[block]);
  }
  return greatest * static_cast<float>(num_blocks) > kOutlierFactor * sum;
}

void note_outliers(const QuantisedRows& all, std::size_t begin, std::size_t end,
                   const SecondTermScratch& scratch) {
  for (std::size_t row = begin; row < end; ++row) scratch.has_outlier[row] = has_outlier(all, row);
}

bool any_outlier(const SecondTermScratch& scratch, std::size_t num_rows) {
  return std::any_of(scratch.has_outlier, scratch.has_outlier + num_rows,
                     [](std::uint8_t is) { return is != 0; });
}

void add_outlier_terms(const Compute& compute, const QuantisedRows& x, std::span<const Product> products,
                       const SecondTermScratch& scratch) {
  if (std::ranges::none_of(products, [](const Product& p) { return has_second_term(p.weights); })) return;
  const std::size_t count = choose_rows(scratch, x.num_rows);
  for (std::size_t first = 0; first < count; first += kSecondTermRows) {
    const std::span<const std::uint32_t> rows(scratch.rows + first, std::min(kSecondTermRows, count - first));
    const QuantisedRows residual = quantise_residuals(compute, x, rows, scratch);
    for (const Product& product : products) {
      if (!has_second_term(product.weights)) continue;
      const std::size_t size = product.weights.rows;
      multiply(compute, residual, std::array{Product{product.weights, scratch.products}});
      compute.pool.parallel_for(rows.size(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) {
          compute.kernels.add(product.out + rows[i] * size, scratch.products + i * size, size);
        }
      });
    }
  }
}

Residuals residuals_in(const SecondTermScratch& scratch, std::size_t num_rows, std::size_t cols) {
  return {quantised_rows_in(scratch.quantised, num_rows, cols, nullptr), scratch.products};
}

void fill_residuals(const KernelTable& kernels, const QuantisedRows& x, std::size_t begin, std::size_t end,
                    std::size_t thread, const SecondTermScratch& scratch, const QuantisedRows& residuals) {
  float* residual = scratch.residual + thread * kResidualRows * x.cols;
  for (std::size_t row = begin; row < end; row += kResidualRows) {
    const std::size_t last = std::min(end, row + kResidualRows);
    kernels.subtract_quantised(rows_of(x, row, last), residual);
    kernels.quantise_rows(residual, last - row, rows_of(residuals, row, last));
  }
}

}  // namespace shoal
