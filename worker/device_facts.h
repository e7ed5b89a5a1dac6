#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace shoal {

// What the operating system says of this device.

std::string host_name();
std::size_t usable_cores();  // affinity and cgroup quota respected
std::uint64_t
giveable_memory();  // bytes: the least of free memory and cgroup limit, less a reserve for the system
std::uint64_t resident_bytes();  // of this process

// The largest cache of a processor, in bytes; 0 where the system does not tell. `root` as below.
std::uint64_t largest_cache(const std::string& root);
// What the system says of processor and board, with everything that differs from moment to moment left out.
// `root` is "/" but in tests.
std::string hardware_text(const std::string& root);
// A digest of all that a measurement of this device depends on (Hello.profile_key).
std::uint64_t profile_key(const std::string& hardware, const std::string& kernels, std::size_t num_threads);

// Does anything accept TCP connections there?
bool accepts_connections(const std::string& host, std::uint16_t port, int timeout_ms);

}  // namespace shoal
