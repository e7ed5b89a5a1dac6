#pragma once

#include <cstdint>
#include <string_view>

namespace shoal {

// A small seeded generator with the same numbers on every machine and standard library, for tests and tiny
// models. Source: Steele, Lea and Flood 2014 (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // A stream of its own for each name, so that adding one leaves the others alone.
  Random(std::uint64_t seed, std::string_view name) : state_(seed) {
    for (const char c : name)
      state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3ull + 0x9E3779B97F4A7C15ull;
    next();
  }

  std::uint64_t next() {
    state_ += 0x9E3779B97F4A7C15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }

  // In [0, count); count > 0. The bias, count / 2^64, is nothing here.
  std::uint64_t below(std::uint64_t count) { return next() % count; }

  // In [0, 1), 24 bits.
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24f; }
  float uniform(float low, float high) { return low + (high - low) * uniform(); }

  // Mean 0, variance 1, bell-shaped, within +-3.5: the sum of four uniforms.
  float normal() {
    const float sum = uniform() + uniform() + uniform() + uniform();
    return (sum - 2.0f) * 1.7320508f;
  }

 private:
  std::uint64_t state_;
};

}  // namespace shoal
