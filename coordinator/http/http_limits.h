#pragma once

#include <algorithm>
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
  std::size_t all_bodies_bytes = 256 * 1024 * 1024;  // received and not yet read; beyond it 503
  std::size_t pipelined_bytes = 16 * 1024;           // received ahead of the answer being sent
  // A step's answer can be megabytes at once. A client that has this much before it and takes nothing of it
  // for unread_timeout is cut; one that reads, however slowly, at most_unread_bytes.
  std::size_t unread_bytes = 2 * 1024 * 1024;
  std::chrono::milliseconds unread_timeout{5'000};
  std::size_t most_unread_bytes = 64 * 1024 * 1024;
  std::chrono::milliseconds header_timeout{5'000};  // whole header, from connecting or from its first byte
  std::chrono::milliseconds body_timeout{30'000};
  std::chrono::milliseconds idle_timeout{60'000};   // between requests of one connection
  std::chrono::milliseconds write_timeout{30'000};  // for each 64 KB
  std::chrono::milliseconds linger_timeout{2'000};  // for the client to take the last bytes
};

// As many connections as leave half of the process's file descriptors to the rest of it.
inline std::size_t connections_within(std::size_t file_limit) {
  return std::clamp<std::size_t>(file_limit / 2, 1, HttpLimits().max_connections);
}

}  // namespace shoal
