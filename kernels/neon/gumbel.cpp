#include "kernels/neon/kernels.h"
#include "kernels/neon/math.h"

namespace shoal::neon {
namespace {

// Four counters at a time, word by word.
struct Words {
  uint32x4_t w[4];
};

struct Product {
  uint32x4_t high;
  uint32x4_t low;
};

Product multiply(uint32x4_t a, std::uint32_t by) {
  const uint32x2_t factor = vdup_n_u32(by);
  const uint32x4_t first = vreinterpretq_u32_u64(vmull_u32(vget_low_u32(a), factor));
  const uint32x4_t last = vreinterpretq_u32_u64(vmull_u32(vget_high_u32(a), factor));
  return {vuzp2q_u32(first, last), vuzp1q_u32(first, last)};
}

Words philox(Words c, std::uint32_t key0, std::uint32_t key1) {
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const Product p0 = multiply(c.w[0], kPhiloxMultiplier0);
    const Product p1 = multiply(c.w[2], kPhiloxMultiplier1);
    c = {{veorq_u32(veorq_u32(p1.high, c.w[1]), vdupq_n_u32(key0)), p1.low,
          veorq_u32(veorq_u32(p0.high, c.w[3]), vdupq_n_u32(key1)), p0.low}};
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

float32x4_t gumbel_of(uint32x4_t bits) {
  const float32x4_t whole = vcvtq_f32_u32(vshrq_n_u32(bits, 9));
  const float32x4_t u = vmulq_f32(vaddq_f32(whole, vdupq_n_f32(0.5f)), vdupq_n_f32(0x1p-23f));
  return vnegq_f32(log_f32(vnegq_f32(log_f32(u))));
}

// Word w of counter c belongs to id 4c + w: ST4 transposes.
void store_transposed(const Words& words, float* noise) {
  vst4q_f32(noise,
            {{gumbel_of(words.w[0]), gumbel_of(words.w[1]), gumbel_of(words.w[2]), gumbel_of(words.w[3])}});
}

}  // namespace

void gumbel(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise, std::size_t n) {
  constexpr std::uint32_t kSteps[kLanes] = {0, 1, 2, 3};
  float tail[16];
  for (std::size_t i = 0; i < n; i += 16) {
    const std::uint32_t counter = first_id / 4 + static_cast<std::uint32_t>(i / 4);
    const Words start = {{vaddq_u32(vdupq_n_u32(counter), vld1q_u32(kSteps)), vdupq_n_u32(position),
                          vdupq_n_u32(0), vdupq_n_u32(0)}};
    const Words words =
        philox(start, static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32));
    const bool whole = n - i >= 16;
    store_transposed(words, whole ? noise + i : tail);
    for (std::size_t k = 0; !whole && k < n - i; ++k) noise[i + k] = tail[k];
  }
}

}  // namespace shoal::neon
