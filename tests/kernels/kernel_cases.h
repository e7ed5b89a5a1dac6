#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "base/check.h"
#include "kernels/kernel_table.h"
#include "tests/support/random.h"

namespace shoal::test {

std::vector<float> random_floats(Random& random, std::size_t n,
                                 float deviation = 1.0f);  // bell-shaped, mean 0
std::vector<std::byte> random_bytes(Random& random, std::size_t n);

inline constexpr WeightType kAllTypes[] = {
    WeightType::F32,  WeightType::F16,  WeightType::BF16, WeightType::Q4_0,
    WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1, WeightType::Q8_0,
    WeightType::Q4_K, WeightType::Q5_K, WeightType::Q6_K,
};

// Bytes on a 64-byte boundary, filled with 0xA5 so that nothing relies on zeros.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::size_t size);
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }
  std::size_t size() const { return size_; }

 private:
  struct Free {
    void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{64}); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_;
};

// Rows as a GGUF file would hold them: any codes, scales of ordinary size (`scale` sets them).
std::vector<std::byte> random_gguf(Random& random, WeightType type, std::size_t rows, std::size_t cols,
                                   float scale = 0.01f);

// A random matrix, packed.
struct PackedMatrix {
  PackedMatrix(Random& random, WeightType type, std::size_t rows, std::size_t cols);
  PanelMatrix view() const { return {type, rows, cols, panels.data()}; }

  WeightType type;
  std::size_t rows;
  std::size_t cols;
  std::vector<std::byte> gguf;
  AlignedBytes panels;
};

// Rows of x, quantised by the scalar definition, with their memory.
struct Activations {
  Activations(std::vector<float> values, std::size_t num_rows, std::size_t cols,
              const KernelTable& kernels = scalar_kernels());

  std::vector<float> x;
  AlignedBytes buffer;
  QuantisedRows rows;
};

std::vector<float> matmul(const KernelTable& kernels, const PanelMatrix& w, const QuantisedRows& x);

// The row [row, row + count) of a larger batch.
QuantisedRows rows_of(const QuantisedRows& x, std::size_t row, std::size_t count);

template <typename T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

}  // namespace shoal::test
