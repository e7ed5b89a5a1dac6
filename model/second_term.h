#pragma once

#include <cstdint>
#include <span>

#include "model/products.h"

namespace shoal {

// Outlier rows that are taken at a time; bounds the scratch.
inline constexpr std::size_t kSecondTermRows = 32;
// Rows whose residuals a thread makes at a time.
inline constexpr std::size_t kResidualRows = 4;

// What the second terms of a stage's products need. Laid out once, used by one product after the other.
struct SecondTermScratch {
  std::uint8_t* has_outlier = nullptr;  // [max_rows] of the rows quantised last
  std::uint32_t* rows = nullptr;        // [max_rows] which of them those are
  float* residual = nullptr;       // [kSecondTermRows, widest input] or [threads, kResidualRows, hidden_size]
  std::byte* quantised = nullptr;  // residuals: of outlier rows, or [max_rows, hidden_size]
  float* products = nullptr;  // [kSecondTermRows, widest output] or [threads, max_rows, kResidualOutputs]
};

// Whether one block of a row lies so far above the others that its rounding drowns the rest.
bool has_outlier(const QuantisedRows& x, std::size_t row);

// Notes which of the rows [begin, end), just quantised, have an outlier. Threads note disjoint rows.
void note_outliers(const QuantisedRows& all, std::size_t begin, std::size_t end,
                   const SecondTermScratch& scratch);

// Adds to each product of `x` (already computed) that of what quantising left of its outlier rows
// (docs/ARITHMETIC.md, "Two terms"), which were noted. Products with float weights have no second term.
void add_outlier_terms(const Compute& compute, const QuantisedRows& x, std::span<const Product> products,
                       const SecondTermScratch& scratch);

// Whether any of the rows noted last is one.
bool any_outlier(const SecondTermScratch& scratch, std::size_t num_rows);

// Room for the residuals of `num_rows` rows of `cols` columns.
Residuals residuals_in(const SecondTermScratch& scratch, std::size_t num_rows, std::size_t cols);
// Fills rows [begin, end) of them from x.
void fill_residuals(const KernelTable& kernels, const QuantisedRows& x, std::size_t begin, std::size_t end,
                    std::size_t thread, const SecondTermScratch& scratch, const QuantisedRows& residuals);

// Products with float weights take unquantised rows.
bool has_second_term(const PanelMatrix& weights);

}  // namespace shoal
