#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"
#include "base/checked_math.h"
#include "kernels/half.h"
#include "kernels/kernel_table.h"

namespace shoal {
namespace {

// FNV-1a over 64-bit words, with a final mix. It guards against another arithmetic, not against an attacker.
class Digest {
 public:
  void add(std::uint64_t word) { state_ = (std::rotl(state_, 5) ^ word) * 0x100000001b3u; }
  void add(std::span<const float> values) {
    for (const float value : values) add(std::uint64_t{std::bit_cast<std::uint32_t>(value)});
  }
  void add(std::span<const std::byte> halves) {
    for (std::size_t i = 0; i < halves.size(); i += 2)
      add(std::uint64_t{load<std::uint16_t>(halves.data() + i)});
  }
  std::uint64_t value() const { return (state_ ^ (state_ >> 29)) * 0xbf58476d1ce4e5b9u; }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325u;
};

// SplitMix64: fixed test rows.
class TestRows {
 public:
  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-23f - 1.0f; }
  std::vector<float> floats(std::size_t n, float amplitude = 1.0f) {
    std::vector<float> values(n);
    for (float& value : values) value = amplitude * uniform();
    return values;
  }

 private:
  std::uint64_t state_ = 7;
};

constexpr WeightType kAllTypes[] = {
    WeightType::F32,  WeightType::F16,  WeightType::BF16, WeightType::Q4_0,
    WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1, WeightType::Q8_0,
    WeightType::Q4_K, WeightType::Q5_K, WeightType::Q6_K,
};

// GGUF rows of random codes whose scales are small and finite.
std::vector<std::byte> random_gguf_rows(TestRows& random, WeightType type, std::size_t rows,
                                        std::size_t cols) {
  std::vector<std::byte> bytes(rows * gguf_row_bytes(type, cols));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random.next() >> 56);
  const BlockShape shape = block_shape(type);
  const auto small = [&] { return f16_from_float(0.01f * random.uniform()); };
  for (std::size_t at = 0; at < bytes.size(); at += shape.block_bytes) {
    std::byte* block = bytes.data() + at;
    switch (type) {
      case WeightType::F32:
        store(block, random.uniform());
        break;
      case WeightType::F16:
        store(block, small());
        break;
      case WeightType::BF16:
        store(block, bf16_from_float(random.uniform()));
        break;
      case WeightType::Q6_K:
        store(block + 208, small());
        break;
      case WeightType::Q4_1:
      case WeightType::Q5_1:
      case WeightType::Q4_K:
      case WeightType::Q5_K:
        store(block + 2, small());
        [[fallthrough]];
      default:
        store(block, small());
    }
  }
  return bytes;
}

std::byte* aligned(std::vector<std::byte>& buffer) {
  const auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
  return buffer.data() + (align_up(address, 64) - address);
}

// Few rows and many go through different code of the same table: odd rows come from a batch that repeats the
// rows three times, from its begin, middle and end. Every table gives a row's bits wherever it lies.
void digest_matmul(const KernelTable& kernels, TestRows& random, Digest& digest) {
  constexpr std::size_t kRows = 24;
  constexpr std::size_t kCols = 256;
  constexpr std::size_t kNumRows = 7;
  constexpr std::size_t kBatch = 3 * kNumRows;
  std::vector<float> x = random.floats(kNumRows * kCols, 3.0f);
  for (std::size_t i = kNumRows * kCols; i < kBatch * kCols; ++i) x.push_back(x[i - kNumRows * kCols]);
  std::vector<std::byte> x_buffer(quantised_rows_bytes(kBatch, kCols) + 64);
  const QuantisedRows batch = quantised_rows_in(aligned(x_buffer), kBatch, kCols, x.data());
  kernels.quantise_rows(x.data(), kBatch, batch);
  QuantisedRows few = batch;
  few.num_rows = kNumRows;
  digest.add(std::span<const float>(batch.scaled_sums, kNumRows * batch.num_blocks()));
  std::vector<float> out(kNumRows * kRows);
  std::vector<float> batch_out(kBatch * kRows);
  for (const WeightType type : kAllTypes) {
    const std::vector<std::byte> gguf = random_gguf_rows(random, type, kRows, kCols);
    std::vector<std::byte> buffer(panel_matrix_bytes(type, kRows, kCols) + 64);
    pack_panels(type, kRows, kCols, gguf.data(), aligned(buffer));
    const PanelMatrix w = {type, kRows, kCols, aligned(buffer)};
    kernels.matmul(w, {0, 2}, few, out.data(), kRows);
    kernels.matmul(w, {0, 2}, batch, batch_out.data(), kRows);
    for (std::size_t row = 1; row < kNumRows; row += 2)
      std::copy_n(batch_out.data() + (row + row / 2 * kNumRows) * kRows, kRows, out.data() + row * kRows);
    digest.add(out);
  }
}

void digest_row_operations(const KernelTable& kernels, TestRows& random, Digest& digest) {
  constexpr std::size_t kSize = 203;
  const std::vector<float> a = random.floats(kSize, 4.0f);
  const std::vector<float> b = random.floats(kSize);
  std::vector<float> out(kSize);
  kernels.rms_norm(a.data(), b.data(), out.data(), 1, kSize, 1e-5f);
  digest.add(out);
  kernels.silu_mul(a.data(), b.data(), out.data(), kSize);
  digest.add(out);
  kernels.gelu_mul(a.data(), b.data(), out.data(), kSize);
  kernels.add(out.data(), b.data(), kSize);
  kernels.scale(out.data(), 1.7f, kSize);
  for (const bool interleaved : {false, true})
    kernels.rope(out.data(), 2, 100, 52, a.data(), b.data(), interleaved);
  digest.add(out);
  const MaxSum sums = kernels.max_sum(a.data(), kSize);
  digest.add(std::array{sums.max, sums.sum});
  kernels.gumbel(0x123456789abcdefu, 3, 8, out.data(), kSize);
  digest.add(out);
}

void digest_attention(const KernelTable& kernels, const KvShape& shape, TestRows& random, Digest& digest) {
  constexpr std::size_t kHeads = 6;
  constexpr std::size_t kPositions = 150;
  std::vector<std::vector<std::byte>> blocks(2 * div_ceil(kPositions, kKvBlockPositions));
  for (auto& block : blocks) block.resize(shape.half_bytes());
  std::vector<const std::byte*> keys;
  std::vector<const std::byte*> values;
  for (std::size_t i = 0; i < blocks.size(); i += 2) {
    keys.push_back(blocks[i].data());
    values.push_back(blocks[i + 1].data());
  }
  for (std::size_t p = 0; p < kPositions; ++p) {
    const std::vector<float> kv = random.floats(2 * shape.num_kv_heads * shape.head_dim, 2.0f);
    const std::size_t block = p / kKvBlockPositions * 2;
    kernels.kv_store(kv.data(), kv.data() + kv.size() / 2, shape, p % kKvBlockPositions, blocks[block].data(),
                     blocks[block + 1].data());
  }
  digest.add(blocks[3]);
  const std::vector<float> q = random.floats(kHeads * shape.head_dim, 2.0f);
  std::vector<float> out(q.size());
  std::vector<float> scratch(attention_scratch_floats(kHeads, shape.head_dim));
  for (const std::uint32_t window : {0u, 70u}) {
    const AttentionRows row = {q.data(), out.data(), keys.data(), values.data(), kPositions - 1, window};
    kernels.attention(row, shape, kHeads, {0, kHeads}, 0.2f, scratch.data());
    digest.add(out);
  }
}

}  // namespace

std::uint64_t arithmetic_digest(const KernelTable& kernels) {
  TestRows random;
  Digest digest;
  digest.add(kArithmeticVersion);
  digest.add(kPanelLayoutVersion);
  digest_matmul(kernels, random, digest);
  digest_row_operations(kernels, random, digest);
  digest_attention(kernels, {.num_kv_heads = 2, .head_dim = 24}, random, digest);
  digest_attention(kernels, {.num_kv_heads = 2, .head_dim = 40, .type = KvType::Q8}, random, digest);
  return digest.value();
}

}  // namespace shoal
