#include <doctest/doctest.h>

#include "transport/endpoint.h"
#include "transport/z85.h"

namespace shoal {

TEST_CASE("endpoints are read and written back") {
  for (const char* text : {"tcp://10.77.0.12:41234", "tcp://[fe80::1]:7171", "tcp://[fe80::1%eth0]:7171",
                           "tcp://hub.local:65535", "tcp://0.0.0.0:0"}) {
    CAPTURE(text);
    const Result<Endpoint> endpoint = parse_endpoint(text);
    REQUIRE(endpoint);
    CHECK(to_string(*endpoint) == text);
  }
  CHECK(parse_endpoint("tcp://[::1]:7")->is_ipv6);
  CHECK(parse_endpoint("tcp://[::1]:7")->host == "::1");
}

TEST_CASE("what is no endpoint is refused with the reason") {
  for (const char* text : {"", "10.0.0.1:80", "tcp://", "tcp://host", "tcp://host:", "tcp://host:65536",
                           "tcp://host:-1", "tcp://host:1x", "tcp://:80", "tcp://ho st:80", "tcp://::1:80",
                           "tcp://[::1:80", "tcp://[nothex]:80", "ipc:///tmp/x", "tcp://*:80"}) {
    CAPTURE(text);
    const Result<Endpoint> endpoint = parse_endpoint(text);
    REQUIRE_FALSE(endpoint);
    CHECK(endpoint.error().message().find("is no endpoint: ") != std::string::npos);
  }
}

TEST_CASE("the address a neighbour sees is this machine's own") {
  const Result<std::string> address = local_address_towards({"127.0.0.1", 7171, false});
  REQUIRE(address);
  CHECK(*address == "127.0.0.1");
  const Result<std::string> nowhere = local_address_towards({"no-such-host.invalid", 7171, false});
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().message().find("no-such-host.invalid") != std::string::npos);
}

TEST_CASE("a host and a port make an endpoint, IPv6 in brackets") {
  CHECK(to_string(endpoint_of("10.0.0.1", 5)) == "tcp://10.0.0.1:5");
  CHECK(to_string(endpoint_of("::1", 5)) == "tcp://[::1]:5");
}

TEST_CASE("Z85 is RFC 32's") {
  const std::uint8_t bytes[] = {0x86, 0x4F, 0xD2, 0x6F, 0xB5, 0x59, 0xF7, 0x5B};
  CHECK(z85_encode(bytes) == "HelloWorld");
  std::array<std::uint8_t, 32> key{};
  for (std::size_t i = 0; i < key.size(); ++i) key[i] = static_cast<std::uint8_t>(i * 37 + 200);
  CHECK(z85_decode_key(z85_encode(key)) == key);
  CHECK_FALSE(z85_decode_key("short"));
  CHECK_FALSE(z85_decode_key(std::string(40, '"')));
  CHECK_FALSE(z85_decode_key(std::string(40, '#')));  // five of the last digit are more than 32 bits
}

}  // namespace shoal
