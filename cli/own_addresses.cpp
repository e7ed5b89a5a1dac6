#include "cli/own_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <vector>

namespace shoal {
namespace {

constexpr int kTries = 64;
constexpr int kHighestPort = 65535;

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

AddressList resolve(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) found = nullptr;
  return AddressList(found, &freeaddrinfo);
}

bool same_host(const sockaddr* a, const sockaddr* b) {
  if (!a || !b || a->sa_family != b->sa_family) return false;
  if (a->sa_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in*>(a)->sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in*>(b)->sin_addr.s_addr;
  }
  if (a->sa_family != AF_INET6) return false;
  return std::memcmp(&reinterpret_cast<const sockaddr_in6*>(a)->sin6_addr,
                     &reinterpret_cast<const sockaddr_in6*>(b)->sin6_addr, sizeof(in6_addr)) == 0;
}

bool is_loopback_or_any(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    const std::uint32_t bits = ntohl(reinterpret_cast<const sockaddr_in*>(address)->sin_addr.s_addr);
    return bits == INADDR_ANY || (bits >> 24) == 127;
  }
  if (address->sa_family != AF_INET6) return false;
  const in6_addr* bits = &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(bits) || IN6_IS_ADDR_UNSPECIFIED(bits);
}

bool is_on_an_interface(const sockaddr* address) {
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) return false;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(interfaces, &freeifaddrs);
  for (const ifaddrs* entry = interfaces; entry; entry = entry->ifa_next) {
    if (same_host(entry->ifa_addr, address)) return true;
  }
  return false;
}

void set_port(sockaddr_storage& address, std::uint16_t port) {
  if (address.ss_family == AF_INET) reinterpret_cast<sockaddr_in&>(address).sin_port = htons(port);
  if (address.ss_family == AF_INET6) reinterpret_cast<sockaddr_in6&>(address).sin6_port = htons(port);
}

std::uint16_t port_of(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET ? reinterpret_cast<const sockaddr_in&>(address).sin_port
                                            : reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
}

// A bound socket holds its port until it is closed.
class BoundSocket {
 public:
  BoundSocket(sockaddr_storage address, socklen_t length, std::uint16_t port)
      : socket_(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    set_port(address, port);
    if (socket_ < 0 || ::bind(socket_, reinterpret_cast<sockaddr*>(&address), length) != 0) return;
    if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) == 0) port_ = port_of(address);
  }
  ~BoundSocket() {
    if (socket_ >= 0) ::close(socket_);
  }
  BoundSocket(const BoundSocket&) = delete;
  BoundSocket& operator=(const BoundSocket&) = delete;

  std::uint16_t port() const { return port_; }  // 0: could not be had

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

}  // namespace

std::string reachable_address(const std::string& host) {
  const int family = host == "0.0.0.0" ? AF_INET : host == "::" ? AF_INET6 : AF_UNSPEC;
  ifaddrs* interfaces = nullptr;
  if (family == AF_UNSPEC || ::getifaddrs(&interfaces) != 0) return host;
  const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> owner(interfaces, &freeifaddrs);
  for (const ifaddrs* entry = interfaces; entry; entry = entry->ifa_next) {
    const bool is_up = (entry->ifa_flags & IFF_UP) != 0 && (entry->ifa_flags & IFF_LOOPBACK) == 0;
    if (!is_up || !entry->ifa_addr || entry->ifa_addr->sa_family != family) continue;
    char text[NI_MAXHOST];
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    if (::getnameinfo(entry->ifa_addr, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0) return text;
  }
  return host;
}

bool is_own_address(const std::string& host) {
  const AddressList addresses = resolve(host);
  for (const addrinfo* entry = addresses.get(); entry; entry = entry->ai_next) {
    if (is_loopback_or_any(entry->ai_addr) || is_on_an_interface(entry->ai_addr)) return true;
  }
  return false;
}

std::optional<std::uint16_t> free_ports(const std::string& host, std::uint16_t count) {
  const AddressList addresses = resolve(host);
  if (!addresses) return std::nullopt;
  sockaddr_storage address{};
  std::memcpy(&address, addresses->ai_addr, addresses->ai_addrlen);
  for (int attempt = 0; attempt < kTries; ++attempt) {
    const BoundSocket first(address, addresses->ai_addrlen, 0);
    if (first.port() == 0) return std::nullopt;
    if (first.port() + count - 1 > kHighestPort) continue;
    bool all_free = true;
    for (std::uint16_t i = 1; i < count && all_free; ++i) {
      const BoundSocket next(address, addresses->ai_addrlen, static_cast<std::uint16_t>(first.port() + i));
      all_free = next.port() != 0;
    }
    if (all_free) return first.port();
  }
  return std::nullopt;
}

}  // namespace shoal
