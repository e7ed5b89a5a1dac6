#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "simulation/capacity.h"
#include "simulation/recovery_watch.h"
#include "simulation/sim_hub.h"
#include "simulation/sim_worker.h"
#include "simulation/timed_compute.h"

namespace shoal {

// What became of one request. Times in seconds since arrivals began.
struct RequestTrace {
  const CapacityPipeline* pipeline = nullptr;  // that it went to
  double asked_at = 0;
  std::uint32_t prompt_tokens = 0;
  std::vector<double> token_at;
  double ended_at = -1;
  std::string failure;  // "" unless it failed

  bool has_ended() const { return ended_at >= 0; }
};

// One cluster of a scenario at work: a hub, its workers, a network and a clock of their own. Devices are
// numbered from 1 as the hub numbers them, in the scenario's order.
class CapacityRun {
 public:
  // Refers to all of them.
  CapacityRun(const CapacityScenario& scenario, const CapacityPipeline& pipeline,
              std::vector<RequestTrace>& traces);
  ~CapacityRun();

  // From power on until it serves. Errors: why it does not, in the coordinator's words.
  Status start();
  double seconds_since_start() const { return seconds(clock_.now() - Time{}); }
  // Arrivals begin now: what is measured counts from here.
  void begin();

  // Time only moves forward; seconds since begin().
  void run_until(double at_seconds);
  double now_seconds() const { return seconds(clock_.now() - began_); }

  void submit(std::size_t trace, const PlannedRequest& request);
  std::size_t num_open() const { return open_; }
  // How soon a new request would be answered, as far as can be told: requests before it times its plan's
  // seconds per token. Infinite while it does not serve.
  double expected_wait() const;

  // Of a device that is down already: nothing happens.
  void take_down(const PlannedFailure& failure);
  void bring_back(const PlannedFailure& failure);

  // Since begin().
  double busy_seconds(std::size_t device) const;
  SimLinkUse use_of(std::size_t from, std::size_t to) const;  // index past the devices: the hub

  const CapacityPipeline& pipeline() const { return pipeline_; }
  const ClusterState& hub() const { return hub_->state(); }
  const std::vector<RecoveryReport>& recoveries() const { return watch_.reports(); }
  double mean_running() const { return samples_ == 0 ? 0 : running_sum_ / samples_; }
  double mean_waiting() const { return samples_ == 0 ? 0 : waiting_sum_ / samples_; }
  double startup_seconds() const { return startup_seconds_; }
  double last_token_at() const { return last_token_at_; }
  std::string holds(std::size_t device) const;  // of the plan that serves; "" without a part
  std::uint64_t num_requests() const { return trace_of_.size(); }
  std::uint64_t num_tokens() const { return tokens_; }
  double mean_rows_per_step() const;  // of prompts and answers; at least 1

 private:
  struct Node {
    std::unique_ptr<TimedCompute> compute;
    std::unique_ptr<SimWorker> worker;  // nullptr: not running
    SimDisk disk;
    std::optional<PlannedFailure> failure;  // that it is down by
    double retired_busy = 0;                // of earlier processes
    double busy_before = 0;                 // at begin()
  };

  static DeviceId id_of(std::size_t device) { return static_cast<DeviceId>(device + 1); }
  std::size_t index_of(const std::string& device) const;
  void set_links();
  void power_on(std::size_t device);
  void power_off(std::size_t device);
  void step(Time until);
  void run_to(Time until);
  void sample();
  void deliver(RequestId id, InferenceEvent event);
  ShardData shard(const ShardRequest& request) const;
  double busy_in_all(std::size_t device) const;

  const CapacityScenario& scenario_;
  const CapacityPipeline& pipeline_;
  std::vector<RequestTrace>& traces_;
  FakeClock clock_;
  TokenText text_;
  std::unique_ptr<SimWorld> world_;
  std::unique_ptr<SimHub> hub_;
  std::vector<Node> nodes_;
  std::map<Sha256, TensorRef> tensors_;
  std::vector<std::size_t> trace_of_;  // by request, from 1
  RecoveryWatch watch_;
  std::map<std::pair<DeviceId, DeviceId>, SimLinkUse> use_before_;
  std::uint64_t instances_ = 0;
  std::size_t open_ = 0;
  std::uint64_t tokens_ = 0;
  Time began_{};
  Time sampled_{};
  double startup_seconds_ = 0;
  double last_token_at_ = 0;
  double running_sum_ = 0, waiting_sum_ = 0, samples_ = 0;
};

}  // namespace shoal
