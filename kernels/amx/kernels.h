#pragma once

#include "kernels/kernel_table.h"

// AMX int8 tiles for products of many rows; all else is AVX-512's. A process must have been granted tile data
// (native_x86.cpp asks) before it calls matmul. Contracts: kernels/kernel_table.h.
namespace shoal::amx {

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride);
std::uint64_t int8_peak(std::size_t rounds);

const KernelTable& table();

}  // namespace shoal::amx
