#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "base/result.h"
#include "transport/endpoint.h"
#include "transport/zmq_network.h"
#include "worker/worker_process.h"

namespace shoal {

// A worker's network after its key was admitted, and what the hub said of where to find it.
struct Joined {
  std::unique_ptr<ZmqNetwork> network;
  JoinReply reply;
  std::string listen_host;
};

// Opens the inbox, registers this worker's key at the hub with the join token, and connects control, data and
// bulk lanes. Waits for a hub that is not up yet. Errors: Unavailable (nothing answers there),
// InvalidArgument (the token is not this hub's; refused, with its reason).
Result<Joined> join_hub(const WorkerOptions& options, const KeyPair& keys, const std::string& name,
                        const std::atomic<bool>& stop);

// The hub's join endpoint as people write it: "host:port", "[::1]:port", with or without "tcp://".
Result<Endpoint> parse_hub_address(const std::string& text);

}  // namespace shoal
