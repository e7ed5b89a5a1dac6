#pragma once

#include "simulation/sim_compute.h"
#include "simulation/unit_times.h"
#include "worker/shared_buffer.h"

namespace shoal {

// How every simulated request chooses its tokens: as a client that says nothing of sampling does, so that
// candidates have their usual size on the wire.
SamplingParams usual_sampling();

// No arithmetic: a step takes what the profile says and hands on frames of the right size. Every answer
// chooses the same token.
class TimedCompute final : public SimCompute {
 public:
  // `profile` is what the device reports of itself; `model` outlives it.
  TimedCompute(ProfileReport profile, const ServedModel& model);

  StagesOpened open(const PlanMessage& plan, DeviceId self) override;
  StepDone run(StepFrame frame) override;
  ProfileReport profile(const ProfileRequest&) const override { return profile_; }
  std::vector<std::uint32_t> free_kv_blocks() const override { return kv_blocks_; }

  // Of the pipeline's first stage, where it ran here.
  std::uint64_t first_steps() const { return first_steps_; }
  std::uint64_t first_rows() const { return first_rows_; }

 private:
  StepDone with_candidates(StepFrame frame) const;
  StepDone with_rows(StepFrame frame);

  const ServedModel& model_;
  ProfileReport profile_;
  UnitTimes times_;
  CandidateRow row_;  // what the head says of every row
  std::vector<StageAssignment> stages_;
  std::vector<std::uint32_t> kv_blocks_;
  SharedBufferPool buffers_;
  std::uint64_t first_steps_ = 0;
  std::uint64_t first_rows_ = 0;
};

}  // namespace shoal
