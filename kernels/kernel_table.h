#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "kernels/kv_blocks.h"
#include "kernels/panels.h"

namespace shoal {

// Raised whenever docs/ARITHMETIC.md changes a bit of any result.
inline constexpr std::uint32_t kArithmeticVersion = 1;

inline constexpr std::size_t kActivationBlock = 32;
inline constexpr std::size_t kAttentionChunk = 64;
inline constexpr std::size_t kAttentionTileRows =
    32;  // rows of one sequence that share each key and value read

// Rows of activations ready for products: int8 for quantised weights, f32 for float ones. Views; the caller
// owns the memory.
//   values [num_rows, blocks*32]   scales, scaled_sums [num_rows, blocks]   half_sums [num_rows, blocks, 2]
//   f32 [num_rows, cols]
struct QuantisedRows {
  std::size_t num_rows = 0;
  std::size_t cols = 0;
  std::int8_t* values = nullptr;
  float* scales = nullptr;
  float* scaled_sums = nullptr;       // s * float(t)
  std::int32_t* half_sums = nullptr;  // t0, t1
  const float* f32 = nullptr;

  std::size_t num_blocks() const { return (cols + kActivationBlock - 1) / kActivationBlock; }
};
// Bytes of one buffer for all of the above except f32, and the views into it (64-byte aligned).
std::size_t quantised_rows_bytes(std::size_t num_rows, std::size_t cols);
QuantisedRows quantised_rows_in(std::byte* buffer, std::size_t num_rows, std::size_t cols, const float* f32);

// Consecutive query rows of one sequence over its blocks: row r stands at first_position + r. Views.
struct AttentionRows {
  const float* q;  // [num_rows, num_heads, head_dim]
  float* out;      // as q
  // Block b holds positions [32b, 32b+32) as KvShape says; null where released behind the window.
  const std::byte* const* key_blocks;
  const std::byte* const* value_blocks;
  std::uint32_t first_position;
  std::uint32_t window;  // 0: unlimited
  std::size_t num_rows = 1;
};

struct MaxSum {
  float max;
  float sum;  // of exp(x - max)
};

// One instruction set's kernels. All give the bits of docs/ARITHMETIC.md. Every function is pure, allocates
// nothing and cannot fail; disjoint outputs may be computed on distinct threads.
struct KernelTable {
  const char* name;  // "scalar", "avx2", "avxvnni", "avx512", "amx", "neon"

  // Rows [0, num_rows) of x [num_rows, cols] into `out` (docs: "Activations").
  void (*quantise_rows)(const float* x, std::size_t num_rows, const QuantisedRows& out);

  // out[r*out_stride + o] for o in panels [panels.begin, panels.end) * 16, o < w.rows, r < x.num_rows.
  // Overwrites these and touches nothing else. x.cols == w.cols. Quantised weights read x's blocks, float
  // weights x.f32 alone.
  void (*matmul)(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                 std::size_t out_stride);

  // x, out [num_rows, size]; out may alias x.
  void (*rms_norm)(const float* x, const float* weight, float* out, std::size_t num_rows, std::size_t size,
                   float eps);

  // out = silu(gate)*up, gelu(gate)*up; a += b; x *= s. out may alias an input.
  void (*silu_mul)(const float* gate, const float* up, float* out, std::size_t n);
  void (*gelu_mul)(const float* gate, const float* up, float* out, std::size_t n);
  void (*add)(float* a, const float* b, std::size_t n);
  void (*scale)(float* x, float s, std::size_t n);

  // Rotates the first `dim` of each head_dim in place; x [num_heads, head_dim] is one row; cos, sin [dim/2]
  // of its position.
  void (*rope)(float* x, std::size_t num_heads, std::size_t head_dim, std::size_t dim, const float* cos,
               const float* sin, bool interleaved);

  // Appends one position's K and V [num_kv_heads, head_dim] at slot [0,32) of a block, as shape.type says.
  void (*kv_store)(const float* k, const float* v, const KvShape& shape, std::size_t slot,
                   std::byte* key_block, std::byte* value_block);

  // Heads [heads.begin, heads.end) of the rows. num_heads is a multiple of num_kv_heads; heads in one call
  // may span groups. scratch: attention_scratch_floats() floats, private to the caller's thread.
  void (*attention)(const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
                    float scale, float* scratch);

  MaxSum (*max_sum)(const float* x, std::size_t n);  // n > 0

  // noise[i] = Gumbel noise of token first_id + i (docs: "Choosing a token"); first_id a multiple of 4.
  void (*gumbel)(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise,
                 std::size_t n);

  // What the device can do at best, for measurements to stand beside.
  // `rounds` rounds of the fastest int8 multiply-add, on registers; returns how many multiply-adds that was.
  std::uint64_t (*int8_peak)(std::size_t rounds);
  // Reads the bytes once, in order, and adds them up as words (a rest below 256 bytes is left out).
  std::uint64_t (*read_all)(const std::byte* bytes, std::size_t size);
};

std::size_t attention_scratch_floats(std::size_t num_heads, std::size_t head_dim);

const KernelTable& scalar_kernels();

// What this machine can run, scalar first, fastest last.
std::vector<const KernelTable*> runnable_kernels();

// "" or "auto": the fastest. Otherwise the one of that name, or an error that lists what runs here.
Result<const KernelTable*> choose_kernels(std::string_view name);

// A digest of fixed test rows through every kernel of the table: equal on every device that computes the same
// bits.
std::uint64_t arithmetic_digest(const KernelTable& kernels);

}  // namespace shoal
