#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

constexpr std::size_t kVectors = kActivationBlock / kLanes;

// Lanes past the row's end hold 0 and stay 0, even where 0 * inverse is a NaN.
int32x4_t quantised(float32x4_t x, float32x4_t inverse, uint32x4_t lanes) {
  const float32x4_t above = greater(vmulq_f32(x, inverse), vdupq_n_f32(-kQuantisedMax));
  const int32x4_t q = vcvtnq_s32_f32(smaller(above, vdupq_n_f32(kQuantisedMax)));
  return vandq_s32(q, vreinterpretq_s32_u32(lanes));
}

int8x16_t packed(const int32x4_t* q) {
  const int16x8_t low = vcombine_s16(vmovn_s32(q[0]), vmovn_s32(q[1]));
  const int16x8_t high = vcombine_s16(vmovn_s32(q[2]), vmovn_s32(q[3]));
  return vcombine_s8(vmovn_s16(low), vmovn_s16(high));
}

void quantise_block(const float* x, std::size_t n, std::size_t block, const QuantisedRows& out) {
  float32x4_t v[kVectors];
  float32x4_t magnitudes = vdupq_n_f32(0.0f);
  for (std::size_t i = 0; i < kVectors; ++i) {
    v[i] = load_at(x, i * kLanes, n);
    magnitudes = greater(vabsq_f32(v[i]), magnitudes);
  }
  const float greatest = greatest_of(magnitudes);
  const bool tiny = greatest < kSmallestScaled;
  const float32x4_t inverse = vdupq_n_f32(kQuantisedMax / greatest);
  int32x4_t q[kVectors];
  for (std::size_t i = 0; i < kVectors; ++i) {
    q[i] = tiny ? vdupq_n_s32(0) : quantised(v[i], inverse, lanes_at(i * kLanes, n));
  }
  const int8x16_t first = packed(q);
  const int8x16_t second = packed(q + kVectors / 2);
  vst1q_s8(out.values + block * kActivationBlock, first);
  vst1q_s8(out.values + block * kActivationBlock + 16, second);
  const std::int32_t t0 = vaddlvq_s8(first);
  const std::int32_t t1 = vaddlvq_s8(second);
  const float s = tiny ? 0.0f : greatest / kQuantisedMax;
  out.scales[block] = s;
  out.scaled_sums[block] = s * static_cast<float>(t0 + t1);
  out.half_sums[2 * block] = t0;
  out.half_sums[2 * block + 1] = t1;
}

}  // namespace

void quantise_rows(const float* x, std::size_t num_rows, const QuantisedRows& out) {
  const std::size_t blocks = out.num_blocks();
  for (std::size_t row = 0; row < num_rows; ++row) {
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t begin = block * kActivationBlock;
      const std::size_t left = out.cols - begin;
      quantise_block(x + row * out.cols + begin, left < kActivationBlock ? left : kActivationBlock,
                     row * blocks + block, out);
    }
  }
}

}  // namespace shoal::neon
