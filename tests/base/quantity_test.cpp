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

TEST_CASE("memory is read with and without its unit") {
  CHECK(parse_memory_size("1048576") == 1u << 20);
  CHECK(parse_memory_size("2048K") == 2u << 20);
  for (const char* text : {"512M", "512MB", "512MiB"}) CHECK(parse_memory_size(text) == 512u << 20);
  CHECK(parse_memory_size("2G") == std::uint64_t{2} << 30);
}

TEST_CASE("what is no memory size, too large or too small is none") {
  for (const char* text : {"", "M", "much", "-1M", "1.5G", "512m", "512 M", "5T", "5", "1023K", "0G",
                           "99999999999G", "18446744073709551616"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_memory_size(text));
  }
}

}  // namespace shoal
