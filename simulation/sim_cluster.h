#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "coordinator/shard_server.h"
#include "model/gguf.h"
#include "simulation/real_compute.h"
#include "simulation/sim_hub.h"
#include "simulation/sim_worker.h"

namespace shoal {

struct SimClusterOptions {
  std::string model_path;
  std::vector<SimDevice> devices;
  ClusterSettings settings;
  std::uint64_t seed = 1;
  std::string kernels;  // "" for the fastest that runs here
};

// A whole cluster in one process, from one seed: the very state machines of the coordinator and of every
// worker, their real stages, a fake clock and a simulated network. Devices are numbered from 1 as the hub
// numbers them. A failure replays from its seed.
class SimCluster {
 public:
  static Result<std::unique_ptr<SimCluster>> open(SimClusterOptions options);
  ~SimCluster();

  RequestId submit(InferenceRequest request);
  void cancel(RequestId id);

  // Moves time until the condition holds; false if it does not within `limit` of simulated time.
  bool run_until(const std::function<bool()>& condition, Duration limit = std::chrono::seconds(60));
  void run_for(Duration duration);
  bool run_until_serving(Duration limit = std::chrono::seconds(60));

  void kill(DeviceId device);   // kill -9
  void start(DeviceId device);  // a new process on the same device: its disk is as it was
  // Its steps take this long from now on: another program, heat, a lower clock.
  void set_speed(DeviceId device, double seconds_per_unit_row);
  SimWorld& world() { return *world_; }  // freeze(kHub) stalls the hub, too; ask it nothing meanwhile

  struct Answer {
    std::vector<TokenId> tokens;
    std::vector<float> logprobs;
    std::string text;
    bool finished = false;
    bool failed = false;
    std::string error;
    std::string digest;
  };
  Answer answer(RequestId id);
  const std::vector<InferenceEvent>& events_of(RequestId id) { return answers_[id]; }
  const ClusterState& hub() const { return hub_->state(); }
  bool is_running(DeviceId device) const { return workers_.contains(device); }
  const WorkerState& worker(DeviceId device) const { return workers_.at(device)->state(); }
  std::uint64_t shard_bytes_sent() const { return shards_->bytes_sent(); }
  std::size_t num_plan_stages() const;
  Time now() const { return clock_.now(); }

 private:
  explicit SimCluster(SimClusterOptions options);
  void step(Time until);

  SimClusterOptions options_;
  FakeClock clock_;
  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<ShardSource> weights_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  TokenText text_;
  std::unique_ptr<SimWorld> world_;
  std::unique_ptr<ShardServer> shards_;
  std::map<RequestId, std::vector<InferenceEvent>> answers_;
  std::unique_ptr<SimHub> hub_;
  std::map<DeviceId, SimDisk> disks_;
  std::map<DeviceId, std::unique_ptr<RealCompute>> compute_;
  std::map<DeviceId, std::unique_ptr<SimWorker>> workers_;
  std::uint64_t instances_ = 0;
};

}  // namespace shoal
