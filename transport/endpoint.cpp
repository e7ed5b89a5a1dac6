#include "transport/endpoint.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>

#include "transport/limits.h"

namespace shoal {
namespace {

constexpr std::string_view kScheme = "tcp://";

bool is_host_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_';
}

bool is_ipv6_literal(const std::string& host) {
  const std::string address = host.substr(0, host.find('%'));  // fe80::1%eth0
  in6_addr parsed{};
  return inet_pton(AF_INET6, address.c_str(), &parsed) == 1;
}

Failure bad(std::string_view text, const char* why) {
  return fail(ErrorCode::InvalidArgument, "\"" + std::string(text.substr(0, kMaxEndpointBytes)) +
                                              "\" is no endpoint: " + why +
                                              " (write tcp://HOST:PORT, an IPv6 address in brackets)");
}

Result<std::uint16_t> parse_port(std::string_view whole, std::string_view digits) {
  std::uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || stop != end || error != std::errc{})
    return bad(whole, "the port is not a number from 0 to 65535");
  return port;
}

// Connecting a datagram socket sends nothing; it makes the kernel choose the route and with it our address.
std::optional<std::string> local_address_of_route_to(const addrinfo& remote) {
  const int fd = ::socket(remote.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::nullopt;
  sockaddr_storage local{};
  socklen_t size = sizeof local;
  char text[NI_MAXHOST] = {};
  const bool ok = ::connect(fd, remote.ai_addr, remote.ai_addrlen) == 0 &&
                  ::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) == 0 &&
                  ::getnameinfo(reinterpret_cast<sockaddr*>(&local), size, text, sizeof text, nullptr, 0,
                                NI_NUMERICHOST) == 0;
  ::close(fd);
  return ok ? std::optional<std::string>(text) : std::nullopt;
}

}  // namespace

std::string to_string(const Endpoint& endpoint) {
  const std::string host = endpoint.is_ipv6 ? "[" + endpoint.host + "]" : endpoint.host;
  return std::string(kScheme) + host + ":" + std::to_string(endpoint.port);
}

Endpoint endpoint_of(std::string host, std::uint16_t port) {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return {std::move(host), port, is_ipv6};
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  if (text.size() > kMaxEndpointBytes) return bad(text, "too long");
  if (!text.starts_with(kScheme)) return bad(text, "it does not begin with tcp://");
  const std::string_view rest = text.substr(kScheme.size());
  const std::size_t colon = rest.rfind(':');
  if (colon == std::string_view::npos) return bad(text, "the port is missing");
  std::string_view host = rest.substr(0, colon);
  Endpoint endpoint;
  if (host.starts_with('[') && host.ends_with(']')) {
    endpoint.host = host.substr(1, host.size() - 2);
    endpoint.is_ipv6 = true;
    if (!is_ipv6_literal(endpoint.host)) return bad(text, "what stands in brackets is no IPv6 address");
  } else {
    endpoint.host = host;
    if (host.empty() || host.size() > 255 || !std::all_of(host.begin(), host.end(), is_host_character)) {
      return bad(text, "the host is neither a name nor an address");
    }
  }
  Result<std::uint16_t> port = parse_port(text, rest.substr(colon + 1));
  if (!port) return fail(port.error());
  endpoint.port = *port;
  return endpoint;
}

Result<std::string> local_address_towards(const Endpoint& remote) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_family = remote.is_ipv6 ? AF_INET6 : AF_UNSPEC;
  addrinfo* found = nullptr;
  const int rc = getaddrinfo(remote.host.c_str(), std::to_string(remote.port).c_str(), &hints, &found);
  if (rc != 0)
    return fail(ErrorCode::Unavailable,
                "the host \"" + remote.host + "\" cannot be looked up: " + gai_strerror(rc));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(found, freeaddrinfo);
  for (const addrinfo* address = found; address; address = address->ai_next) {
    if (std::optional<std::string> local = local_address_of_route_to(*address)) return *std::move(local);
  }
  return fail(ErrorCode::Unavailable, "there is no route to the host \"" + remote.host + "\"");
}

}  // namespace shoal
