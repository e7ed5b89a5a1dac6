#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "transport/zmq_network.h"
#include "worker/worker_process.h"

namespace shoal {

// A worker's network after its key was admitted, and what the hub said of where to find it.
struct Joined {
  std::unique_ptr<ZmqNetwork> network;
  JoinReply reply;
  std::string hub_host;
  std::string listen_host;
};

// Opens the inbox, registers this worker's key at the hub with the join token, and connects control, data and
// bulk lanes. Waits for a hub that is not up yet. Errors: Unavailable (nothing answers there),
// InvalidArgument (the token is not this hub's; refused, with its reason).
Result<Joined> join_hub(const WorkerOptions& options, const KeyPair& keys, const std::string& name,
                        const std::atomic<bool>& stop);

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
};
// "host:port", "[::1]:port", with or without "tcp://".
Result<HostPort> parse_host_port(const std::string& text);
std::string tcp_endpoint(const std::string& host, std::uint16_t port);

}  // namespace shoal
