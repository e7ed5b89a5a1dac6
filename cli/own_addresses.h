#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace shoal {

// Whether a host name or address is this machine's: loopback, "0.0.0.0", or an address of one of its
// interfaces.
bool is_own_address(const std::string& host);

// The address by which others find a host that listens on every interface ("0.0.0.0", "::"): of the first
// interface that is up and no loopback. Another host, or a machine without one, stays as it is.
std::string reachable_address(const std::string& host);

// A TCP port p at which p, p + 1, ... p + count - 1 are free on `host` now (another process may take them the
// next moment). Nothing: not one found, or no such address here.
std::optional<std::uint16_t> free_ports(const std::string& host, std::uint16_t count);

}  // namespace shoal
