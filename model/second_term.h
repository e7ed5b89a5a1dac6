#pragma once

#include <cstdint>
#include <span>

#include "model/products.h"

namespace shoal {

// Rows that are taken at a time; bounds the scratch.
inline constexpr std::size_t kSecondTermRows = 32;

// What the second terms of a stage's products need. Laid out once, used by one product after the other.
struct SecondTermScratch {
  std::uint32_t* rows = nullptr;   // [max_rows] which rows take a second term
  float* residual = nullptr;       // [kSecondTermRows, widest input]
  std::byte* quantised = nullptr;  // the same rows, quantised
  float* products = nullptr;       // [kSecondTermRows, widest output], of one product after the other
};

enum class SecondTerm {
  OfOutlierRows,  // rows with one block far above the others, whose rounding drowns the rest
  OfAllRows,      // what is kept in the KV cache: every later token reads it
};

// Adds to each product of `x` (already computed) that of what quantising left of its rows
// (docs/ARITHMETIC.md, "Two terms"). Which rows take part depends on each row alone. Products with float
// weights have no second term.
void add_second_terms(const Compute& compute, const QuantisedRows& x, SecondTerm which,
                      std::span<const Product> products, const SecondTermScratch& scratch);

// Products with float weights take unquantised rows.
bool has_second_term(const PanelMatrix& weights);

// residual = x.f32 - scale * value of one row.
void subtract_quantised(const QuantisedRows& x, std::size_t row, float* residual);

}  // namespace shoal
