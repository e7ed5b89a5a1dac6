#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "coordinator/cluster_state.h"

namespace shoal {

struct CoordinatorOptions {
  std::string model_path;
  std::string model_id;         // as clients name it; "" for the file's name
  std::string state_directory;  // keys, join token, what it remembers
  std::string http_address = "127.0.0.1";
  std::uint16_t http_port = 8080;  // 0: any free one
  std::string api_key;             // needed where http_address is not loopback
  std::vector<std::string> allowed_hosts;
  std::string cluster_address = "127.0.0.1";  // where workers reach this hub; 0.0.0.0 for every interface
  std::uint16_t cluster_port =
      7171;                 // the join endpoint; control, data and bulk are the next three. 0: any free ones
  std::string kernels;      // whose bits every worker must give
  ClusterSettings cluster;  // term, ports, digest are filled in
};

// Where a coordinator listens, told once it does.
struct CoordinatorReady {
  std::uint16_t http_port = 0;
  std::uint16_t cluster_port = 0;
  std::string join_token;
};

// The coordinator: opens the model, its keys and its memory, then serves until `stop` is set. One reactor
// thread owns sockets and state; the HTTP server has threads of its own. Errors say what to do: the model
// file, a taken port, a missing API key, an unreadable key file.
Status run_coordinator(CoordinatorOptions options, const std::atomic<bool>& stop,
                       const std::function<void(const CoordinatorReady&)>& ready);

}  // namespace shoal
