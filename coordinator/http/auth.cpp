#include "coordinator/http/auth.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>

namespace shoal {
namespace {

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(
      a, b, [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

bool is_ip_literal(std::string_view host) {
  in6_addr storage{};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    return inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &storage) == 1;
  }
  return inet_pton(AF_INET, std::string(host).c_str(), &storage) == 1;
}

// "name:8080" and "[::1]:8080" without their ports; a trailing dot of a full name is dropped.
std::string_view without_port(std::string_view host) {
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket))
    host = host.substr(0, colon);
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

}  // namespace

bool constant_time_equal(std::string_view given, std::string_view expected) {
  volatile unsigned difference = given.size() == expected.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const unsigned char want =
        expected.empty() ? 0 : static_cast<unsigned char>(expected[i % expected.size()]);
    difference = difference | (static_cast<unsigned char>(given[i]) ^ want);
  }
  return difference == 0;
}

bool is_loopback_address(std::string_view address) {
  return address == "localhost" || address == "::1" || address == "[::1]" ||
         (address.starts_with("127.") && is_ip_literal(address));
}

std::optional<ApiError> check_bearer(std::string_view authorization, std::string_view api_key) {
  if (api_key.empty()) return std::nullopt;
  constexpr std::string_view kScheme = "bearer ";
  const bool is_bearer = authorization.size() > kScheme.size() &&
                         equal_ignoring_case(authorization.substr(0, kScheme.size()), kScheme);
  if (is_bearer && constant_time_equal(authorization.substr(kScheme.size()), api_key)) return std::nullopt;
  return ApiError{
      .status = 401,
      .message = authorization.empty()
                     ? "No API key was given. Send it as the header \"Authorization: Bearer <key>\"."
                     : "The API key is wrong. Send the hub's key as \"Authorization: Bearer <key>\".",
      .param = {},
      .code = "invalid_api_key",
      .allow = {}};
}

std::optional<ApiError> check_host(std::string_view host, std::span<const std::string> allowed) {
  const std::string_view name = without_port(host);
  if (is_ip_literal(name) || equal_ignoring_case(name, "localhost")) return std::nullopt;
  for (const std::string& good : allowed) {
    if (equal_ignoring_case(name, good)) return std::nullopt;
  }
  return ApiError{.status = 403,
                  .message = "This server does not answer to the host name \"" +
                             std::string(name.substr(0, 255)) +
                             "\". Use its IP address, or add the name to the allowed hosts.",
                  .param = {},
                  .code = "host_not_allowed",
                  .allow = {}};
}

}  // namespace shoal
