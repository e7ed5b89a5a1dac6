#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/thread_pool.h"
#include "model/shard_source.h"
#include "transport/sim_network.h"
#include "worker/stage_executor.h"
#include "worker/worker_state.h"

namespace shoal {

struct SimDevice {
  std::string name;
  std::uint64_t memory_bytes = 1ull << 30;
  double seconds_per_unit_row = 20e-6;  // what one row of one unit costs
  double disk_seconds = 300e-6;         // what one look at its disk, or one write, costs
  bool is_present = true;               // started with the cluster; else by SimCluster::start
};

// What a simulated device keeps on its disk over a restart: whole tensors, and how far a fetch came.
struct SimDisk {
  std::map<Sha256, std::uint32_t> panels;  // in place so far
  std::uint64_t bytes_received = 0;
};

// One simulated worker process: the real worker state machine and the real stages over the simulated network.
// Computing takes simulated time; its results are real.
class SimWorker {
 public:
  SimWorker(DeviceId id, SimDevice device, Network& network, const SimWorld& world, SimDisk& disk,
            ShardSource& weights, const KernelTable& kernels, ThreadPool& pool, std::uint64_t instance,
            Time now);

  // Reads what arrived, hands out finished work that is due, ticks.
  void run(Time now);
  std::optional<Time> next_due() const;
  bool exited() const { return exited_; }
  void set_speed(double seconds_per_unit_row) { device_.seconds_per_unit_row = seconds_per_unit_row; }
  const WorkerState& state() const { return state_; }

 private:
  void handle(WorkerEvent event, Time now);
  void carry_out(WorkerCommand command, Time now);
  void later(Time at, WorkerEvent event) { due_.emplace_back(at, std::move(event)); }
  Time compute_until(Time now, double seconds);
  StoreChecked check_disk(const CheckStore& check) const;
  ShardWritten write_disk(const WriteShard& write);
  ProfileReport profile(const ProfileRequest& request) const;

  SimDevice device_;
  Network& network_;
  SimDisk& disk_;
  StageExecutor executor_;
  WorkerState state_;
  std::deque<std::pair<Time, WorkerEvent>> due_;  // in order
  Time compute_free_{};
  Time ticked_{};
  std::uint64_t finished_work_ = 0;
  bool exited_ = false;
};

}  // namespace shoal
