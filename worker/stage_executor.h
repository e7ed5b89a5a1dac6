#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/shard_source.h"
#include "model/stage_backend.h"
#include "transport/messages.h"
#include "worker/shared_buffer.h"
#include "worker/worker_state.h"

namespace shoal {

// Runs the stages a worker holds: turns step frames into backend calls and their results into frames for the
// next stage. Lives on the compute thread (in the simulator: on the one thread there is); every call blocks
// until done.
class StageExecutor {
 public:
  StageExecutor(const KernelTable& kernels, ThreadPool& pool, ShardSource& source);
  ~StageExecutor();

  // Closes what was open and opens this plan's stages of `self`. Sequences of earlier epochs are gone either
  // way.
  StagesOpened open(const PlanMessage& plan, DeviceId self);

  // Frames of the open plan only, checked by step_intake: shapes and sender are right.
  StepDone run(StepFrame frame);

  std::vector<std::uint32_t> free_kv_blocks() const;  // least of the open stages, per kind

 private:
  struct OpenStage;
  OpenStage* find(std::uint32_t stage);
  Status open_stage(const PlanMessage& plan, std::uint32_t index);
  Status run_rows(OpenStage& stage, const StepFrame& frame);
  StepDone hand_on(OpenStage& stage, StepFrame frame);
  void pick_wanted_rows(const StepFrame& frame, std::byte* out) const;
  void gather_rows(const StepFrame& frame);

  const KernelTable& kernels_;
  ThreadPool& pool_;
  ShardSource& source_;
  ModelConfig config_;
  std::map<std::uint32_t, std::unique_ptr<OpenStage>> stages_;
  std::map<SequenceId, SequenceOpen> opens_;  // where the head is held
  StageOutput output_;
  SharedBufferPool buffers_;
  // Per step, kept for their capacity.
  std::vector<RowGroup> groups_;
  std::vector<const SamplingParams*> sampling_;
  std::vector<std::uint32_t> depth_;
  std::vector<std::byte> gathered_;
  const std::byte* hidden_ = nullptr;
};

}  // namespace shoal
