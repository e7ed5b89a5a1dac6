#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "coordinator/cluster_state.h"
#include "coordinator/shard_server.h"
#include "transport/sim_network.h"

namespace shoal {

// The simulated coordinator process: the real cluster state machine over the simulated network, with the
// answers it gave.
class SimHub {
 public:
  SimHub(const GgufFile& file, ServedModel model, ClusterSettings settings, const TokenText& text,
         Network& network);

  void admit(DeviceId device, const std::string& name, const std::string& public_key, Time now);
  RequestId submit(InferenceRequest request, Time now);
  void cancel(RequestId id, Time now);

  void run(Time now);
  Time next_due() const;

  const ClusterState& state() const { return state_; }
  const std::vector<InferenceEvent>& events_of(RequestId id) { return answers_[id]; }
  std::uint64_t shard_bytes_sent() const { return shards_.bytes_sent(); }

 private:
  void handle(ClusterEvent event, Time now);
  void carry_out(std::vector<ClusterCommand> commands);

  ShardServer shards_;
  ClusterState state_;
  Network& network_;
  std::map<RequestId, std::vector<InferenceEvent>> answers_;
  RequestId last_request_ = 0;
  Time ticked_{};
};

}  // namespace shoal
