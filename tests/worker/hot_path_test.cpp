#include <doctest/doctest.h>

#include <cstdio>

#include "model/gguf_shard_source.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/lock_counter.h"
#include "tests/worker/worker_driver.h"
#include "worker/stage_executor.h"

namespace shoal {
namespace {

constexpr Epoch kEpoch = make_epoch(1, 1);

// Decode steps through take_step, StageExecutor::run and finish_step, as the reactor and the compute thread
// do them.
class HotWorker {
 public:
  HotWorker(const TinyModel& model, std::uint32_t stage)
      : stage_(stage),
        width_(stage == 0 ? 0 : model.config().hidden_size),
        pool_(2),
        source_(model.file(), pool_),
        executor_(*runnable_kernels().back(), pool_, source_) {
    std::vector<DeviceId> devices{kBefore, kBefore, kBefore};
    devices[stage] = kSelf;
    PlanMessage plan = plan_for(model, kEpoch, {2, 5}, devices);
    plan.log_bytes = 64 << 10;
    worker_.run_plan(plan);
    REQUIRE_FALSE(executor_.open(plan, kSelf).error);
    commands_.reserve(16);
  }

  struct Counts {
    std::size_t allocations = 0;
    std::size_t locks = 0;
  };
  // Inside the worker for `count` steps; what the network decodes and what it frees after sending is not the
  // worker's.
  Counts counts_of(int count) {
    Counts sum;
    for (int i = 0; i < count; ++i) {
      StepFrame frame = frame_of(kEpoch, stage_, {group_of(1, step_, position_, 1, kWantsLastRow)}, width_);
      if (step_ == 1) frame.opens.push_back({.sequence = SequenceId{1}, .depth = 40, .params = {}});
      if (stage_ == 0) frame.payload.reserve(1);
      ++step_;
      ++position_;
      if (position_ == 400) position_ = 0;  // cut back: the same blocks again
      const Counts before{num_allocations(), num_locks()};
      on_event(worker_.state,
               NetworkEvent(Received{stage_ == 0 ? kHub : kBefore, Lane::Data, std::move(frame)}),
               worker_.now, commands_);
      auto* run = std::get_if<RunStep>(&commands_.front());
      REQUIRE(run);
      StepDone done = executor_.run(std::move(run->frame));
      commands_.clear();
      on_event(worker_.state, std::move(done), worker_.now, commands_);
      sum.allocations += num_allocations() - before.allocations;
      sum.locks += num_locks() - before.locks;
      REQUIRE(commands_.size() == 1);
      commands_.clear();
    }
    return sum;
  }

 private:
  std::uint32_t stage_;
  std::size_t width_;
  ThreadPool pool_;
  GgufShardSource source_;
  StageExecutor executor_;
  WorkerDriver worker_;
  std::vector<WorkerCommand> commands_;
  std::uint64_t step_ = 1;
  std::uint32_t position_ = 0;
};

}  // namespace

TEST_CASE("after warm-up a decode step through a stage allocates nothing, and the head only its answer") {
  const TinyModel model{51};
  for (const std::uint32_t stage : {0u, 1u}) {
    CAPTURE(stage);
    HotWorker worker(model, stage);
    (void)worker.counts_of(900);
    CHECK(worker.counts_of(200).allocations == 0);
  }
  TinyModelOptions options;
  options.vocab_size = 5000;  // several blocks
  const TinyModel wordy{51, options};
  HotWorker head(wordy, 2);
  (void)head.counts_of(900);
  const double per_step = static_cast<double>(head.counts_of(200).allocations) / 200;
  std::printf("  the head's answer: %.2f allocations a step (its lists leave in the message)\n", per_step);
  CHECK(per_step <= 4);  // rows, two lists of block sums, the candidates
}

TEST_CASE(
    "a decode step locks nothing but the pool of buffers, when it takes one and when the log gives one "
    "back") {
  const TinyModel model{51};
  for (const std::uint32_t stage : {0u, 1u, 2u}) {
    CAPTURE(stage);
    HotWorker worker(model, stage);
    (void)worker.counts_of(900);
    const std::size_t locks = worker.counts_of(200).locks;
    CHECK(locks <= (stage == 2 ? 0 : 400));
    if (stage != 2) CHECK(locks >= 200);  // the counter counts
  }
}

}  // namespace shoal
