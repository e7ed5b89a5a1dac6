#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal {

// Where something listens, as people and frames write it: "tcp://10.77.0.12:41234", "tcp://[fe80::1]:7171",
// "tcp://hub.local:7171".
struct Endpoint {
  std::string host;        // without brackets
  std::uint16_t port = 0;  // 0 only where a free port is asked for
  bool is_ipv6 = false;    // host is an IPv6 literal
};
std::string to_string(const Endpoint& endpoint);
Endpoint endpoint_of(std::string host, std::uint16_t port);  // `host` without brackets

// InvalidArgument names what is wrong with it. Syntax alone: nothing is looked up.
Result<Endpoint> parse_endpoint(std::string_view text);

// Which of this machine's addresses a peer at `remote` would see: what a worker that listens on every
// interface tells the hub. Looks a host name up and so may block; sends nothing.
Result<std::string> local_address_towards(const Endpoint& remote);

}  // namespace shoal
