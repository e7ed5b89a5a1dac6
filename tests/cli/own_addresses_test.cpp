#include "cli/own_addresses.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

TEST_CASE("loopback and every-interface addresses are this machine's, documentation addresses are not") {
  for (const char* own : {"127.0.0.1", "127.9.8.7", "0.0.0.0", "::1"}) {
    CAPTURE(own);
    CHECK(is_own_address(own));
  }
  for (const char* other :
       {"192.0.2.1", "203.0.113.77", "2001:db8::1", "", "not an address", "no-such-host.invalid"}) {
    CAPTURE(other);
    CHECK_FALSE(is_own_address(other));
  }
}

TEST_CASE("free ports are found on an address of ours and not on another's") {
  const std::optional<std::uint16_t> base = free_ports("127.0.0.1", 4);
  REQUIRE(base);
  CHECK(*base >= 1024);
  CHECK(*base <= 65532);
  CHECK_FALSE(free_ports("192.0.2.1", 1));
  CHECK_FALSE(free_ports("not an address", 1));
}

}  // namespace
}  // namespace shoal
