#include "worker/compute_thread.h"

#include <malloc.h>

#include <algorithm>

#include "base/log.h"

namespace shoal {
namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(50);

// The reactor empties the results whenever it looks, so a full queue is a matter of moments.
void hand_over(BoundedQueue<WorkerEvent>& results, WorkerEvent event, const std::atomic<bool>& stopping,
               const std::function<void()>& wake) {
  while (!results.try_push(event) && !stopping) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  wake();
}

Error queue_full(const char* which) {
  return Error(ErrorCode::Unavailable, std::string("the worker's ") + which + " queue is full");
}

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
WorkerEvent no_room_for(const CheckStore&) {
  return StoreFailed{.tensor = {}, .reason = queue_full("disk").message()};
}
WorkerEvent no_room_for(const WriteShard& write) {
  return StoreFailed{.tensor = write.tensor.sha256, .reason = queue_full("disk").message()};
}

ComputeThread::ComputeThread(const KernelTable& kernels, std::size_t num_threads, ShardStore& store,
                             std::function<void()> wake)
    : kernels_(kernels),
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
  const ProfileRequest& request = std::get<MeasureProfile>(work).request;
  Result<ProfileReport> report = measure_profile(request, kernels_, pool_);
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

StoreThread::StoreThread(ShardStore& store, std::function<void()> wake)
    : store_(store), wake_(std::move(wake)), thread_([this] { run(); }) {}

StoreThread::~StoreThread() {
  stopping_ = true;
  work_.close();
  results_.close();
  thread_.join();
}

void StoreThread::run() {
  while (std::optional<Work> work = work_.pop()) {
    if (stopping_) return;
    WorkerEvent result;
    if (const auto* check = std::get_if<CheckStore>(&*work)) {
      result = store_.check(check->epoch, check->tensors);
    } else {
      const WriteShard& write = std::get<WriteShard>(*work);
      std::visit([&](auto outcome) { result = std::move(outcome); }, store_.write(write.tensor, write.data));
    }
    hand_over(results_, std::move(result), stopping_, wake_);
    store_.sync();  // the plan need not wait for it
  }
}

}  // namespace shoal
