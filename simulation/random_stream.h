#pragma once

#include <cmath>
#include <cstdint>
#include <string_view>

namespace shoal {

// Random numbers from a seed and a name: streams of different names leave each other alone, so that asking
// for one more request moves no failure. Source: Steele, Lea and Flood 2014 (SplitMix64).
class RandomStream {
 public:
  RandomStream(std::uint64_t seed, std::string_view name) : state_(seed) {
    for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    next();
  }

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }     // [0, 1)
  double exponential(double mean) { return -mean * std::log(1 - uniform()); }  // gaps of a Poisson process
  // Mean 0, variance 1 (Box and Muller 1958, one of the pair).
  double normal() {
    const double radius = std::sqrt(-2 * std::log(1 - uniform()));
    return radius * std::cos(2 * 3.14159265358979323846 * uniform());
  }

 private:
  std::uint64_t state_;
};

}  // namespace shoal
