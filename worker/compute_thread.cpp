#include "worker/compute_thread.h"

#include <malloc.h>

#include <algorithm>

#include "base/log.h"
#include "worker/thread_queues.h"

namespace shoal {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(50);

bool closes_any(const RunStep& step) {
  return std::ranges::any_of(step.frame.groups,
                             [](const RowGroup& group) { return (group.flags & kCloses) != 0; });
}

}  // namespace

WorkerEvent no_room_for(const OpenStages& open) {
  return StagesOpened{.epoch = open.plan.epoch, .error = queue_full("compute")};
}
WorkerEvent no_room_for(RunStep& step) {
  StepDone done{.epoch = step.frame.epoch,
                .stage = step.frame.stage,
                .output = {},
                .rows = {},
                .error = queue_full("compute")};
  done.output = std::move(step.frame);
  return done;
}
WorkerEvent no_room_for(const MeasureProfile& measure) {
  return ProfileDone{ProfileReport{.model = measure.request.model, .units = {}}};  // the hub asks again
}
WorkerEvent no_room_for(const EchoCompute&) { return ComputeEchoed{}; }

ComputeThread::ComputeThread(const KernelTable& kernels, std::size_t num_threads, std::uint64_t profile_bytes,
                             ShardStore& store, std::function<void()> wake)
    : kernels_(kernels),
      profile_bytes_(profile_bytes),
      store_(store),
      wake_(std::move(wake)),
      pool_(num_threads),
      executor_(kernels, pool_, store),
      thread_([this] { run(); }) {}

ComputeThread::~ComputeThread() {
  stopping_ = true;
  work_.close();
  results_.close();
  thread_.join();
}

std::vector<std::uint32_t> ComputeThread::free_kv_blocks() const {
  const std::lock_guard lock(mutex_);
  return free_kv_blocks_;
}

void ComputeThread::run() {
  while (std::optional<Work> work = work_.pop()) {
    if (stopping_) return;
    hand_over(results_, carry_out(*work), stopping_, wake_);
  }
}

WorkerEvent ComputeThread::carry_out(Work& work) {
  if (auto* step = std::get_if<RunStep>(&work)) {
    const bool closes = closes_any(*step);
    StepDone done = executor_.run(std::move(step->frame));
    look_at_kv(closes);
    return done;
  }
  if (const auto* open = std::get_if<OpenStages>(&work)) {
    store_.serve(open->plan.tensors);
    StagesOpened opened = executor_.open(open->plan, open->self);
    store_.retain(open->plan.epoch);
    ::malloc_trim(0);  // the earlier plan's scratch
    look_at_kv(true);
    return opened;
  }
  if (std::holds_alternative<EchoCompute>(work)) return ComputeEchoed{};
  const ProfileRequest& request = std::get<MeasureProfile>(work).request;
  Result<ProfileReport> report = measure_profile(request, kernels_, pool_, profile_bytes_);
  ::malloc_trim(0);  // the plan counts on this memory
  if (report) return ProfileDone{*std::move(report)};
  log_error("profile_failed", {{"reason", report.error().message()}});
  return ProfileDone{ProfileReport{.model = request.model, .units = {}}};
}

// Beats tell it ten times a second: no need to ask after every step.
void ComputeThread::look_at_kv(bool at_once) {
  const Time now = SteadyClock().now();
  if (!at_once && now - looked_at_ < kLookInterval) return;
  looked_at_ = now;
  std::vector<std::uint32_t> free = executor_.free_kv_blocks();
  const std::lock_guard lock(mutex_);
  free_kv_blocks_ = std::move(free);
}

}  // namespace shoal
