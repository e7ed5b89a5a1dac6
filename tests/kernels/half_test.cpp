#include <bit>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "kernels/half.h"
#include "tests/support/random.h"

using namespace shoal;

TEST_CASE("every f16 widens to its value and comes back as itself") {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = float_from_f16(half);
    const bool is_nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
    REQUIRE(std::isnan(value) == is_nan);
    if (is_nan) {
      REQUIRE(f16_from_float(value) == (half | 0x200));  // made quiet
    } else {
      REQUIRE(f16_from_float(value) == half);
    }
  }
  CHECK(float_from_f16(0x3c00) == 1.0f);
  CHECK(float_from_f16(0x0001) == 0x1p-24f);
  CHECK(float_from_f16(0xfbff) == -65504.0f);
  CHECK(float_from_f16(0x7c00) == std::numeric_limits<float>::infinity());
}

TEST_CASE("a float becomes the nearest f16, ties to the even one") {
  for (std::uint32_t bits = 0; bits < 0x7c00; ++bits) {
    const float low = float_from_f16(static_cast<std::uint16_t>(bits));
    const float high = bits == 0x7bff ? 65536.0f : float_from_f16(static_cast<std::uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;  // exact
    const auto even = static_cast<std::uint16_t>(bits % 2 == 0 ? bits : bits + 1);
    REQUIRE(f16_from_float(middle) == even);
    REQUIRE(f16_from_float(std::nextafter(middle, 0.0f)) == bits);
    REQUIRE(f16_from_float(std::nextafter(middle, 1e9f)) == bits + 1);
    REQUIRE(f16_from_float(-middle) == (even | 0x8000));
  }
  CHECK(f16_from_float(1e30f) == 0x7c00);
  CHECK(f16_from_float(-1e30f) == 0xfc00);
  CHECK(f16_from_float(1e-30f) == 0);
  CHECK(f16_from_float(-0.0f) == 0x8000);
}

TEST_CASE("a float becomes the nearest bf16, ties to the even one") {
  Random random(61);
  for (int i = 0; i < 100'000; ++i) {
    const auto bits = static_cast<std::uint16_t>(random.next() >> 48);
    const float value = float_from_bf16(bits);
    if (std::isnan(value)) continue;
    REQUIRE(bf16_from_float(value) == bits);
    const std::uint32_t wide = std::uint32_t{bits} << 16;
    if ((bits & 0x7fff) < 0x7f7f) {
      REQUIRE(bf16_from_float(std::bit_cast<float>(wide | 0x7fffu)) == bits);
      REQUIRE(bf16_from_float(std::bit_cast<float>(wide | 0x8000u)) == bits + bits % 2);
      REQUIRE(bf16_from_float(std::bit_cast<float>(wide | 0x8001u)) == bits + 1);
    }
  }
  CHECK(std::isnan(float_from_bf16(bf16_from_float(std::bit_cast<float>(0x7f800001u)))));
}
