#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "simulation/sim_compute.h"
#include "transport/sim_network.h"
#include "worker/worker_state.h"

namespace shoal {

struct SimDevice {
  std::string name;
  std::uint64_t memory_bytes = 1ull << 30;
  double seconds_per_unit_row = 20e-6;  // what one row of one unit costs; for RealCompute
  double disk_seconds = 300e-6;         // what one look at its disk, or one write, costs
  double disk_bytes_per_second = 0;     // what a write costs beside; 0: nothing
  double hand_over_seconds = 0;         // from the reactor to the compute thread and back, once a step
  std::uint32_t num_threads = 1;
  std::string kernels = "simulated";
  Duration tick = kTick;   // of its reactor: a coarser one makes long runs shorter
  bool is_present = true;  // started with the cluster; else by SimCluster::start
};

// What a simulated device keeps on its disk over a restart: whole tensors, and how far a fetch came.
struct SimDisk {
  std::map<Sha256, std::uint32_t> panels;  // in place so far
  std::uint64_t bytes_received = 0;
};

// One simulated worker process: the real worker state machine over the simulated network. Computing and the
// disk take simulated time.
class SimWorker {
 public:
  SimWorker(DeviceId id, SimDevice device, Network& network, const SimWorld& world, SimDisk& disk,
            SimCompute& compute, std::uint64_t instance, Time now);

  // Reads what arrived, hands out finished work that is due, ticks.
  void run(Time now);
  Time next_due() const;
  bool exited() const { return exited_; }
  const WorkerState& state() const { return state_; }
  double busy_seconds() const { return busy_seconds_; }  // with steps, those under way included

 private:
  void handle(WorkerEvent event, Time now);
  void carry_out(WorkerCommand command, Time now);
  void later(Time at, WorkerEvent event) { due_.emplace(at, std::move(event)); }
  Time compute_until(Time now, double seconds);
  Time disk_until(Time now, double seconds);
  StoreChecked check_disk(const CheckStore& check) const;
  ShardWritten write_disk(const WriteShard& write);

  SimDevice device_;
  Network& network_;
  SimDisk& disk_;
  SimCompute& compute_;
  WorkerState state_;
  std::multimap<Time, WorkerEvent> due_;  // equal times: as they were begun
  Time compute_free_{};
  Time disk_free_{};
  Time ticked_{};
  double busy_seconds_ = 0;
  std::uint64_t finished_work_ = 0;
  bool exited_ = false;
};

}  // namespace shoal
