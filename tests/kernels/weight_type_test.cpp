#include <doctest/doctest.h>

#include "tests/kernels/kernel_cases.h"

using namespace shoal;
using namespace shoal::test;

TEST_CASE("a weight type is known by GGUF's number and by name") {
  for (const WeightType type : kAllTypes) CHECK(weight_type_from(static_cast<std::uint32_t>(type)) == type);
  CHECK(std::string(name_of(WeightType::Q4_K)) == "Q4_K");
  for (const std::uint32_t unknown : {4u, 5u, 9u, 10u, 11u, 15u, 29u, 31u, 0xffffffffu}) {
    CAPTURE(unknown);
    CHECK_FALSE(weight_type_from(unknown).has_value());
  }
}

TEST_CASE("a row's bytes are GGUF's") {
  CHECK(gguf_row_bytes(WeightType::F32, 7) == 28);
  CHECK(gguf_row_bytes(WeightType::Q4_0, 64) == 36);
  CHECK(gguf_row_bytes(WeightType::Q5_1, 32) == 24);
  CHECK(gguf_row_bytes(WeightType::Q4_K, 512) == 288);
  CHECK(gguf_row_bytes(WeightType::Q6_K, 256) == 210);
}
