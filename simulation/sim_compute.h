#pragma once

#include <cstdint>
#include <vector>

#include "worker/worker_state.h"

namespace shoal {

// What a simulated worker's compute thread does: real stages (RealCompute), or their times alone
// (TimedCompute). Every call returns at once; `seconds` of a StepDone is what the step takes in simulated
// time.
class SimCompute {
 public:
  virtual ~SimCompute() = default;
  virtual StagesOpened open(const PlanMessage& plan, DeviceId self) = 0;
  virtual StepDone run(StepFrame frame) = 0;  // of the open plan, checked by step_intake
  virtual ProfileReport profile(const ProfileRequest& request) const = 0;
  virtual std::vector<std::uint32_t> free_kv_blocks() const = 0;
};

}  // namespace shoal
