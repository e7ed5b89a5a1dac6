#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace shoal {

// What one client may cost. All written out here; nothing a client sends is unbounded.
struct HttpLimits {
  std::size_t max_connections = 1024;  // more are answered 503 and closed
  std::uint32_t header_bytes = 8 * 1024;
  std::size_t header_fields = 64;
  std::uint64_t body_bytes = 4 * 1024 * 1024;
  std::size_t pipelined_bytes = 16 * 1024;          // received ahead of the answer being sent
  std::size_t unread_bytes = 2 * 1024 * 1024;       // of a stream the client does not read: then it is cut
  std::chrono::milliseconds header_timeout{5'000};  // whole header, from connecting or from its first byte
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};   // between requests of one connection
  std::chrono::milliseconds write_timeout{30'000};  // for each 64 KB
  std::chrono::milliseconds linger_timeout{2'000};  // for the client to take the last bytes
};

}  // namespace shoal
