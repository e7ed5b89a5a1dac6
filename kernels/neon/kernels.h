#pragma once

#include "kernels/kernel_table.h"

// AArch64 NEON with the dot product extension (ARMv8.2). Contracts: kernels/kernel_table.h; the definition:
// docs/ARITHMETIC.md.
namespace shoal::neon {

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out);
void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride);
void rms_norm(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
              float eps);
void silu_mul(const float* gate, const float* up, float* out, std::size_t n);
void gelu_mul(const float* gate, const float* up, float* out, std::size_t n);
void add(float* a, const float* b, std::size_t n);
void scale(float* x, float s, std::size_t n);
void rope(float* x, std::size_t num_heads, std::size_t head_dim, std::size_t dim, const float* cos,
          const float* sin, bool interleaved);
void kv_store(const float* k, const float* v, const KvShape& shape, std::size_t slot, std::byte* key_block,
              std::byte* value_block);
void attention(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
               float scale, float* scratch);
MaxSum max_sum(const float* x, std::size_t n);
void gumbel(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise, std::size_t n);
std::uint64_t int8_peak(std::size_t rounds);
std::uint64_t read_all(const std::byte* bytes, std::size_t size);

const KernelTable& table();

}  // namespace shoal::neon
