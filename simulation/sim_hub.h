#pragma once

#include <functional>
#include <vector>

#include "coordinator/cluster_state.h"
#include "transport/sim_network.h"

namespace shoal {

// The simulated coordinator process: the real cluster state machine over the simulated network. `shards`
// answers requests for layers, `deliver` gets what requests are answered.
class SimHub {
 public:
  using Shards = std::function<ShardData(const ShardRequest&)>;
  using Deliver = std::function<void(RequestId, InferenceEvent)>;
  SimHub(ServedModel model, ClusterSettings settings, const TokenText& text, Network& network, Shards shards,
         Deliver deliver);

  // A device that was here before, with what the hub remembers of its measurements.
  void admit(DeviceId device, const std::string& name, const std::string& public_key,
             std::vector<RememberProfile> profiles);
  RequestId submit(InferenceRequest request, Time now);
  void cancel(RequestId id, Time now);

  void run(Time now);
  Time next_due() const;

  const ClusterState& state() const { return state_; }

 private:
  void handle(ClusterEvent event, Time now);
  void carry_out(std::vector<ClusterCommand> commands);

  ClusterState state_;
  Network& network_;
  Shards shards_;
  Deliver deliver_;
  RequestId last_request_ = 0;
  Time ticked_{};
};

}  // namespace shoal
