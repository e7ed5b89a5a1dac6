#include <doctest/doctest.h>

#include "coordinator/http/auth.h"

using namespace shoal;

TEST_CASE("keys are equal only when every byte is") {
  CHECK(constant_time_equal("secret", "secret"));
  CHECK_FALSE(constant_time_equal("secrex", "secret"));
  CHECK_FALSE(constant_time_equal("Secret", "secret"));
  CHECK_FALSE(constant_time_equal("secre", "secret"));
  CHECK_FALSE(constant_time_equal("secretsecret", "secret"));
  CHECK_FALSE(constant_time_equal("", "secret"));
  CHECK_FALSE(constant_time_equal("x", ""));
}

TEST_CASE("loopback addresses are told from others") {
  for (const char* address : {"127.0.0.1", "127.8.9.10", "localhost", "::1"})
    CHECK(is_loopback_address(address));
  for (const char* address : {"0.0.0.0", "192.168.1.2", "::", "127.0.0.1.evil.example", "127."})
    CHECK_FALSE(is_loopback_address(address));
}

TEST_CASE("a bearer key is asked for when one is set") {
  CHECK_FALSE(check_bearer("", ""));
  CHECK_FALSE(check_bearer("Bearer k1", "k1"));
  CHECK_FALSE(check_bearer("bearer k1", "k1"));
  for (const char* given : {"", "Bearer", "Bearer ", "Bearer k2", "Basic k1", "k1", "Bearer k1 "}) {
    CAPTURE(given);
    const auto error = check_bearer(given, "k1");
    REQUIRE(error);
    CHECK(error->status == 401);
    CHECK(std::string(error->type()) == "authentication_error");
    CHECK(error->message.find("k1") == std::string::npos);
  }
}

TEST_CASE("only IP addresses, localhost and listed names are hosts we answer to") {
  const std::vector<std::string> allowed = {"hub.district"};
  for (const char* host : {"127.0.0.1", "127.0.0.1:8080", "localhost:1", "LOCALHOST", "[::1]:80", "[::1]",
                           "10.0.0.7:8080", "Hub.District:9", "hub.district."}) {
    CAPTURE(host);
    CHECK_FALSE(check_host(host, allowed));
  }
  for (const char* host : {"", "evil.example", "evil.example:8080", "127.0.0.1.evil.example",
                           "hub.district.evil.example", "[::1", "localhost.evil"}) {
    CAPTURE(host);
    const auto error = check_host(host, allowed);
    REQUIRE(error);
    CHECK(error->status == 403);
  }
}
