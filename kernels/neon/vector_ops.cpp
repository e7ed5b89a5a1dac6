#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {

void add(float* a, const float* b, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes)
    store_at(a, i, n, vaddq_f32(load_at(a, i, n), load_at(b, i, n)));
}

void scale(float* x, float s, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes) store_at(x, i, n, vmulq_f32(load_at(x, i, n), vdupq_n_f32(s)));
}

void divide(float* x, float by, std::size_t n) {
  for (std::size_t i = 0; i < n; i += kLanes) store_at(x, i, n, vdivq_f32(load_at(x, i, n), vdupq_n_f32(by)));
}

std::size_t find_above(const float* x, std::size_t n, float bound, std::uint32_t* places) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < n; i += kLanes) {
    const uint32x4_t at_most = vcleq_f32(load_at(x, i, n), vdupq_n_f32(bound));
    if (n - i >= kLanes && vminvq_u32(at_most) != 0) continue;  // seldom anything is
    const std::size_t end = n - i < kLanes ? n : i + kLanes;
    for (std::size_t k = i; k < end; ++k) {
      if (!(x[k] <= bound)) places[count++] = static_cast<std::uint32_t>(k);
    }
  }
  return count;
}

void subtract_quantised(const QuantisedRows& x, float* residual) {
  const std::size_t num_blocks = x.num_blocks();
  for (std::size_t row = 0; row < x.num_rows; ++row) {
    const float* from = x.f32 + row * x.cols;
    const std::int8_t* values = x.values + row * num_blocks * kActivationBlock;
    for (std::size_t i = 0; i < x.cols; i += kLanes) {
      std::int32_t four;
      __builtin_memcpy(&four, values + i, sizeof four);
      const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
      const float32x4_t value = vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)));
      const float32x4_t scaled = vmulq_n_f32(value, x.scales[row * num_blocks + i / kActivationBlock]);
      store_at(residual + row * x.cols, i, x.cols, vsubq_f32(load_at(from, i, x.cols), scaled));
    }
  }
}

}  // namespace shoal::neon
