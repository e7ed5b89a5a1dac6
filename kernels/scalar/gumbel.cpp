#include "kernels/elementary.h"
#include "kernels/elementary_constants.h"
#include "kernels/scalar/kernels.h"

namespace shoal::scalar {
namespace {

struct Words {
  std::uint32_t w[4];
};

// Philox4x32-10: counter and key to four random words.
Words philox(Words counter, std::uint32_t key0, std::uint32_t key1) {
  Words c = counter;
  for (int round = 0; round < kPhiloxRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kPhiloxMultiplier0} * c.w[0];
    const std::uint64_t product1 = std::uint64_t{kPhiloxMultiplier1} * c.w[2];
    c = {{static_cast<std::uint32_t>(product1 >> 32) ^ c.w[1] ^ key0, static_cast<std::uint32_t>(product1),
          static_cast<std::uint32_t>(product0 >> 32) ^ c.w[3] ^ key1, static_cast<std::uint32_t>(product0)}};
    key0 += kPhiloxWeyl0;
    key1 += kPhiloxWeyl1;
  }
  return c;
}

// u is strictly between 0 and 1: 23 bits and a half are exact in f32, so no word rounds up to 1.
float gumbel_of(std::uint32_t bits) {
  const float u = (static_cast<float>(bits >> 9) + 0.5f) * 0x1p-23f;
  return -log_f32(-log_f32(u));
}

}  // namespace

void gumbel(std::uint64_t seed, std::uint32_t position, std::uint32_t first_id, float* noise, std::size_t n) {
  Words words = {};
  for (std::size_t i = 0; i < n; ++i) {
    const auto id = static_cast<std::uint32_t>(first_id + i);
    if (id % 4 == 0) {
      words = philox({{id / 4, position, 0, 0}}, static_cast<std::uint32_t>(seed),
                     static_cast<std::uint32_t>(seed >> 32));
    }
    noise[i] = gumbel_of(words.w[id % 4]);
  }
}

}  // namespace shoal::scalar
