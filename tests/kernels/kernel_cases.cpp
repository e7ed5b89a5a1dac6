#include "tests/kernels/kernel_cases.h"

#include "base/bytes.h"
#include "base/checked_math.h"
#include "kernels/half.h"

namespace shoal::test {

std::vector<float> random_floats(Random& random, std::size_t n, float deviation) {
  std::vector<float> values(n);
  for (float& value : values) value = deviation * random.normal();
  return values;
}

std::vector<std::byte> random_bytes(Random& random, std::size_t n) {
  std::vector<std::byte> values(n);
  for (std::byte& value : values) value = static_cast<std::byte>(random.next() >> 56);
  return values;
}

AlignedBytes::AlignedBytes(std::size_t size)
    : data_(static_cast<std::byte*>(::operator new[](align_up(size + 1, 64), std::align_val_t{64}))),
      size_(size) {
  std::memset(data_.get(), 0xA5, size);
}

std::vector<std::byte> random_gguf(Random& random, WeightType type, std::size_t rows, std::size_t cols,
                                   float scale) {
  std::vector<std::byte> bytes = random_bytes(random, rows * gguf_row_bytes(type, cols));
  const BlockShape shape = block_shape(type);
  const auto f16 = [&](float deviation) { return f16_from_float(deviation * random.normal()); };
  for (std::size_t at = 0; at < bytes.size(); at += shape.block_bytes) {
    std::byte* block = bytes.data() + at;
    switch (type) {
      case WeightType::F32:
        store(block, scale * random.normal());
        break;
      case WeightType::F16:
        store(block, f16(scale));
        break;
      case WeightType::BF16:
        store(block, bf16_from_float(scale * random.normal()));
        break;
      case WeightType::Q6_K:
        store(block + 208, f16(scale / 64));
        break;
      case WeightType::Q4_K:
      case WeightType::Q5_K:
        store(block, f16(scale / 32));
        store(block + 2, f16(scale / 32));
        break;
      case WeightType::Q4_1:
      case WeightType::Q5_1:
        store(block + 2, f16(scale));
        [[fallthrough]];
      default:
        store(block, f16(scale));
    }
  }
  return bytes;
}

PackedMatrix::PackedMatrix(Random& random, WeightType the_type, std::size_t num_rows, std::size_t num_cols)
    : type(the_type),
      rows(num_rows),
      cols(num_cols),
      gguf(random_gguf(random, type, rows, cols)),
      panels(panel_matrix_bytes(type, rows, cols)) {
  pack_panels(type, rows, cols, gguf.data(), panels.data());
}

Activations::Activations(std::vector<float> values, std::size_t num_rows, std::size_t cols,
                         const KernelTable& kernels)
    : x(std::move(values)),
      buffer(quantised_rows_bytes(num_rows, cols)),
      rows(quantised_rows_in(buffer.data(), num_rows, cols, x.data())) {
  SHOAL_CHECK(x.size() == num_rows * cols);
  kernels.quantise_rows(x.data(), num_rows, rows);
}

std::vector<float> matmul(const KernelTable& kernels, const PanelMatrix& w, const QuantisedRows& x) {
  std::vector<float> out(x.num_rows * w.rows, -777.0f);
  kernels.matmul(w, {0, static_cast<std::uint32_t>(w.num_panels())}, x, out.data(), w.rows);
  return out;
}

QuantisedRows rows_of(const QuantisedRows& x, std::size_t row, std::size_t count) {
  QuantisedRows part = x;
  const std::size_t at = row * x.num_blocks();
  part.num_rows = count;
  part.values += at * kActivationBlock;
  part.scales += at;
  part.scaled_sums += at;
  part.half_sums += 2 * at;
  part.f32 += row * x.cols;
  return part;
}

}  // namespace shoal::test
