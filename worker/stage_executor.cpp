#include "worker/stage_executor.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "model/model_config_codec.h"
#include "worker/plan_check.h"

namespace shoal {

struct StageExecutor::OpenStage {
  std::uint32_t index = 0;
  StageAssignment assignment;
  bool ends_with_head = false;
  bool next_is_head_alone = false;
  std::unique_ptr<StageBackend> backend;
};

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

StageExecutor::StageExecutor(const KernelTable& kernels, ThreadPool& pool, ShardSource& source)
    : kernels_(kernels), pool_(pool), source_(source) {}
StageExecutor::~StageExecutor() = default;

StagesOpened StageExecutor::open(const PlanMessage& plan, DeviceId self) {
  stages_.clear();
  opens_.clear();
  StagesOpened opened{.epoch = plan.epoch};
  Result<ModelConfig> config = parse_model_config(plan.config);
  if (!config) {
    opened.error = config.error();
    return opened;
  }
  config_ = *std::move(config);
  for (std::uint32_t i = 0; i < plan.stages.size(); ++i) {
    if (plan.stages[i].device != self) continue;
    if (Status stage = open_stage(plan, i); !stage) {
      opened.error = stage.error().during("opening stage " + std::to_string(i));
      stages_.clear();
      return opened;
    }
    opened.scratch_bytes += stages_.at(i)->backend->scratch_bytes();
    opened.kv_bytes += stages_.at(i)->backend->kv_bytes_allocated();
  }
  return opened;
}

Status StageExecutor::open_stage(const PlanMessage& plan, std::uint32_t index) {
  const StageAssignment& assignment = plan.stages[index];
  Result<std::vector<TensorSpec>> tensors = tensor_specs_of(plan.tensors);
  if (!tensors) return fail(tensors.error());
  Result<KvBudget> kv = kv_budget_of(plan);
  if (!kv) return fail(kv.error());
  const StageSpec spec{.units = assignment.units,
                       .head_blocks = assignment.head_blocks,
                       .max_context = plan.max_context,
                       .max_rows = plan.max_rows,
                       .max_sequences = plan.max_sequences,
                       .kv = *std::move(kv)};
  Result<std::unique_ptr<StageBackend>> backend =
      open_cpu_stage(spec, config_, *tensors, source_, kernels_, pool_);
  if (!backend) return fail(backend.error());
  auto stage = std::make_unique<OpenStage>();
  stage->index = index;
  stage->assignment = assignment;
  stage->ends_with_head = assignment.units.end == config_.num_units();
  stage->next_is_head_alone =
      index + 1 < plan.stages.size() && plan.stages[index + 1].units.begin == config_.head_unit();
  stage->backend = *std::move(backend);
  stages_[index] = std::move(stage);
  return {};
}

StageExecutor::OpenStage* StageExecutor::find(std::uint32_t stage) {
  const auto found = stages_.find(stage);
  return found == stages_.end() ? nullptr : found->second.get();
}

StepDone StageExecutor::run(StepFrame frame) {
  const auto start = std::chrono::steady_clock::now();
  OpenStage* stage = find(frame.stage);
  const Status ran =
      stage ? run_rows(*stage, frame) : Status(fail(ErrorCode::Unavailable, "the stage is not open"));
  if (!ran) {
    StepDone failed{
        .epoch = frame.epoch, .stage = frame.stage, .output = {}, .rows = {}, .error = ran.error()};
    failed.output = std::move(frame);
    return failed;
  }
  StepDone done = hand_on(*stage, std::move(frame));
  done.seconds = seconds_since(start);
  return done;
}

// One chunk is read where it lies; several (a long prefill) are joined first.
void StageExecutor::gather_rows(const StepFrame& frame) {
  hidden_ = nullptr;
  if (frame.payload.size() == 1) hidden_ = frame.payload.front().bytes().data();
  if (frame.payload.size() <= 1) return;
  gathered_.clear();
  for (const Payload& chunk : frame.payload)
    gathered_.insert(gathered_.end(), chunk.bytes().begin(), chunk.bytes().end());
  hidden_ = gathered_.data();
}

Status StageExecutor::run_rows(OpenStage& stage, const StepFrame& frame) {
  output_.candidates.clear();
  output_.hidden = {};
  if (stage.ends_with_head) {
    for (const SequenceOpen& open : frame.opens) opens_[open.sequence] = open;
  }
  groups_.clear();
  sampling_.clear();
  depth_.clear();
  for (const RowGroup& group : frame.groups) {
    if (group.flags & kCloses) {
      stage.backend->close(group.sequence);
      if (stage.ends_with_head) opens_.erase(group.sequence);
      continue;
    }
    const auto open = opens_.find(group.sequence);
    groups_.push_back(group);
    sampling_.push_back(open == opens_.end() ? nullptr : &open->second.params);
    depth_.push_back(open == opens_.end() ? 1 : open->second.depth);
  }
  if (groups_.empty()) return {};
  gather_rows(frame);
  return stage.backend->run(
      {.groups = groups_, .ids = frame.ids, .hidden = hidden_, .sampling = sampling_, .depth = depth_},
      output_);
}

void StageExecutor::pick_wanted_rows(const StepFrame& frame, std::byte* out) const {
  const std::size_t row_bytes = config_.activation_bytes();
  std::size_t row = 0;
  for (const RowGroup& group : frame.groups) {
    const std::size_t first = row + group.num_rows - group.num_wanted();
    const std::size_t bytes = group.num_wanted() * row_bytes;
    if (bytes > 0) std::memcpy(out, output_.hidden.data() + first * config_.hidden_size, bytes);
    out += bytes;
    row += group.num_rows;
  }
}

StepDone StageExecutor::hand_on(OpenStage& stage, StepFrame frame) {
  StepDone done;
  done.epoch = frame.epoch;
  done.stage = frame.stage;
  if (stage.ends_with_head) {
    done.output = CandidatesFrame{.epoch = frame.epoch,
                                  .pipeline = frame.pipeline,
                                  .stage = frame.stage,
                                  .rows = std::move(output_.candidates),
                                  .groups = std::move(frame.groups)};
    return done;
  }
  std::size_t rows = 0;
  for (const RowGroup& group : frame.groups)
    rows += stage.next_is_head_alone ? group.num_wanted() : group.num_rows;
  if (rows > 0 && !output_.hidden.empty()) {
    done.rows = buffers_.take(rows * config_.activation_bytes());
    if (stage.next_is_head_alone) {
      pick_wanted_rows(frame, done.rows.data());
    } else {
      std::memcpy(done.rows.data(), output_.hidden.data(), done.rows.size());
    }
  }
  frame.stage += 1;
  frame.dtype = rows > 0 ? Dtype::F32 : Dtype::None;
  fill_payload(done.rows, frame.payload);
  done.output = std::move(frame);
  return done;
}

std::vector<std::uint32_t> StageExecutor::free_kv_blocks() const {
  std::vector<std::uint32_t> least;
  for (const auto& [index, stage] : stages_) {
    const std::vector<std::uint32_t> free = stage->backend->free_kv_blocks();
    if (least.empty()) least = free;
    for (std::size_t kind = 0; kind < least.size() && kind < free.size(); ++kind)
      least[kind] = std::min(least[kind], free[kind]);
  }
  return least;
}

}  // namespace shoal
