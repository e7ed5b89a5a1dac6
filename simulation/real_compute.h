#pragma once

#include "kernels/thread_pool.h"
#include "model/shard_source.h"
#include "simulation/sim_compute.h"
#include "worker/stage_executor.h"

namespace shoal {

// The real stages; a row of a unit takes the same simulated time whatever it computes.
class RealCompute final : public SimCompute {
 public:
  RealCompute(const KernelTable& kernels, ThreadPool& pool, ShardSource& weights, double seconds_per_unit_row)
      : executor_(kernels, pool, weights), seconds_per_unit_row_(seconds_per_unit_row) {}

  StagesOpened open(const PlanMessage& plan, DeviceId self) override;
  StepDone run(StepFrame frame) override;
  ProfileReport profile(const ProfileRequest& request) const override;
  std::vector<std::uint32_t> free_kv_blocks() const override { return executor_.free_kv_blocks(); }

  void set_speed(double seconds_per_unit_row) { seconds_per_unit_row_ = seconds_per_unit_row; }

 private:
  StageExecutor executor_;
  std::vector<StageAssignment> stages_;  // of the open plan
  double seconds_per_unit_row_;
};

}  // namespace shoal
