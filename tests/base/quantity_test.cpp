#include "base/quantity.h"

#include <doctest/doctest.h>

namespace shoal {

TEST_CASE("a time is a number and its unit") {
  CHECK(parse_seconds("150us") == doctest::Approx(150e-6));
  CHECK(parse_seconds("2ms") == doctest::Approx(0.002));
  CHECK(parse_seconds("1.5s") == doctest::Approx(1.5));
  CHECK(parse_seconds("10min") == doctest::Approx(600));
  CHECK(parse_seconds("2h") == doctest::Approx(7200));
  CHECK(parse_seconds("0s") == doctest::Approx(0));
}

TEST_CASE("a rate is counted in thousands of bits and handed on in bytes") {
  CHECK(parse_bytes_per_second("8kbit") == doctest::Approx(1000));
  CHECK(parse_bytes_per_second("100mbit") == doctest::Approx(12.5e6));
  CHECK(parse_bytes_per_second("2.5gbit") == doctest::Approx(312.5e6));
}

TEST_CASE("text that is no number with a unit is nothing") {
  for (const char* text :
       {"", "ms", "5", "5 ms", "-1ms", "5ms ", "5mss", "5 min", "1e999s", "nans", "infs", "0x5s"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_seconds(text));
  }
  for (const char* text : {"", "100", "100Mbit", "100mbit/s", "-1mbit", "1tbit"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_bytes_per_second(text));
  }
}

}  // namespace shoal
