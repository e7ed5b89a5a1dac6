#include <algorithm>

#include "kernels/elementary.h"
#include "kernels/panel_block.h"
#include "kernels/panel_layout.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

// One block of one row of x.
struct XBlock {
  const std::int8_t* q;
  float s;
  float st;
  std::int32_t t0;
  std::int32_t t1;
};

XBlock x_block(const QuantisedRows& x, std::size_t row, std::size_t block) {
  const std::size_t at = row * x.num_blocks() + block;
  return {x.values + at * kActivationBlock, x.scales[at], x.scaled_sums[at], x.half_sums[2 * at],
          x.half_sums[2 * at + 1]};
}

std::int32_t dot16(const std::int32_t* w, const std::int8_t* q) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < 16; ++i) sum += w[i] * q[i];
  return sum;
}

// The table of docs/ARITHMETIC.md, "Products".
float add_block(WeightType type, const RowBlock& w, const XBlock& x, float acc) {
  const std::int32_t d0 = dot16(w.codes, x.q);
  const std::int32_t d1 = dot16(w.codes + 16, x.q + 16);
  const float scale = w.scale * x.s;
  const auto with_offset = [&](std::int32_t offset) {
    return fma_f32(static_cast<float>(d0 + d1 - offset * (x.t0 + x.t1)), scale, acc);
  };
  switch (type) {
    case WeightType::Q4_0:
      return with_offset(kOffset4);
    case WeightType::Q5_0:
      return with_offset(kOffset5);
    case WeightType::Q8_0:
      return with_offset(0);
    case WeightType::Q6_K: {
      const std::int32_t sum = w.scale6[0] * (d0 - kOffset6 * x.t0) + w.scale6[1] * (d1 - kOffset6 * x.t1);
      return fma_f32(static_cast<float>(sum), scale, acc);
    }
    default:  // Q4_1, Q5_1, Q4_K, Q5_K
      return fma_f32(w.min, x.st, fma_f32(static_cast<float>(d0 + d1), scale, acc));
  }
}

void quantised_output(const PanelMatrix& w, const std::byte* panel, std::size_t o, const QuantisedRows& x,
                      float* out, std::size_t out_stride) {
  for (std::size_t row = 0; row < x.num_rows; ++row) out[row * out_stride + o] = 0.0f;
  for (std::size_t block = 0; block < x.num_blocks(); ++block) {
    const RowBlock weights = read_row_block(w.type, panel, o % kPanelRows, block);
    for (std::size_t row = 0; row < x.num_rows; ++row) {
      float& acc = out[row * out_stride + o];
      acc = add_block(w.type, weights, x_block(x, row, block), acc);
    }
  }
}

void float_output(const PanelMatrix& w, const std::byte* panel, std::size_t o, const QuantisedRows& x,
                  float* out, std::size_t out_stride) {
  for (std::size_t row = 0; row < x.num_rows; ++row) {
    const float* values = x.f32 + row * x.cols;
    float acc = 0.0f;
    for (std::size_t begin = 0; begin < w.cols; begin += kPanelBlock) {
      float p = 0.0f;
      for (std::size_t col = begin; col < std::min(begin + kPanelBlock, w.cols); ++col) {
        p = fma_f32(read_float_weight(w.type, panel, o % kPanelRows, col), values[col], p);
      }
      acc = acc + p;
    }
    out[row * out_stride + o] = acc;
  }
}

}  // namespace

void matmul(const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out, std::size_t out_stride) {
  const auto output = is_quantised(w.type) ? quantised_output : float_output;
  const std::size_t bytes = panel_bytes(w.type, w.cols);
  const std::size_t end = std::min<std::size_t>(panels.end * kPanelRows, w.rows);
  for (std::size_t o = panels.begin * kPanelRows; o < end; ++o) {
    output(w, w.panels + o / kPanelRows * bytes, o, x, out, out_stride);
  }
}

}  // namespace shoal::scalar
