#pragma once

#include <string>

#include "base/result.h"

namespace shoal {

// Test hosts: network namespaces "lab-I", each with address 10.77.0.(10+I) on an Ethernet device "eth0" that
// this program holds the other end of (a TAP). Making them needs root and /dev/net/tun. No two threads at
// once.

inline constexpr int kMostHosts = 200;

std::string host_name_of(int host);     // "lab-3"
std::string host_address_of(int host);  // "10.77.0.13"

// Unavailable where this machine or this user cannot make hosts, and why.
Status check_can_make_hosts();
// The TAP's descriptor: whole Ethernet frames are read from it and written to it, without blocking.
Result<int> make_host(int host);
// All that are there, a killed lab's too.
void remove_hosts();

// From here on this process's new sockets are in that host's network.
Status enter_host(int host);

// Runs a shell command, silently; its exit status.
int run_shell(const std::string& command);

}  // namespace shoal
