#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/worker/tiny_shard.h"
#include "worker/compute_thread.h"
#include "worker/store_thread.h"

namespace shoal {
namespace {

template <typename Thread>
WorkerEvent next_result(Thread& thread) {
  while (true) {
    if (std::optional<WorkerEvent> event = thread.try_pop()) return *std::move(event);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

}  // namespace

TEST_CASE("the store thread checks and writes while the compute thread opens stages from the same store") {
  const TinyModel model{31};
  const TemporaryDirectory directory;
  Result<std::unique_ptr<ShardStore>> opened = ShardStore::open(directory.path());
  REQUIRE(opened);
  ShardStore& store = **opened;
  std::atomic<int> wakes{0};
  const auto wake = [&] { ++wakes; };
  StoreThread disk(store, wake);
  ComputeThread compute(*runnable_kernels().back(), 2, 8 << 20, store, wake);
  int opened_stages = 0;
  for (std::uint32_t version = 1; version <= 6; ++version) {
    PlanMessage plan = plan_for(model, make_epoch(1, version), {}, {DeviceId{1}});
    StoreThread::Work check = CheckStore{plan.epoch, plan.tensors};
    REQUIRE(disk.try_push(check));
    const WorkerEvent answer = next_result(disk);
    const auto& checked = std::get<StoreChecked>(answer);
    for (const MissingTensor& missing : checked.missing) {
      StoreThread::Work write =
          WriteShard{missing.tensor, shard_data(model, missing.tensor, 0, missing.num_panels)};
      while (!disk.try_push(write)) std::this_thread::yield();
      CHECK(std::get<ShardWritten>(next_result(disk)).complete);
    }
    ComputeThread::Work open = OpenStages{plan, DeviceId{1}};
    REQUIRE(compute.try_push(open));
    while (const std::optional<WorkerEvent> event =
               compute.try_pop()) {  // of the version before, most likely
      CHECK_FALSE(std::get<StagesOpened>(*event).error);
      ++opened_stages;
    }
    (void)compute.free_kv_blocks();
  }
  for (; opened_stages < 6; ++opened_stages) CHECK_FALSE(std::get<StagesOpened>(next_result(compute)).error);
  CHECK(compute.free_kv_blocks() == std::vector<std::uint32_t>{64});
  CHECK(wakes >= 6);
}

TEST_CASE("work that finds no room is answered, not forgotten") {
  RunStep step{StepFrame{.epoch = Epoch{5},
                         .stage = 2,
                         .groups = {{.sequence = SequenceId{1}, .step = StepNumber{3}, .num_rows = 1}}}};
  const WorkerEvent done = no_room_for(step);
  CHECK(groups_of(std::get<StepDone>(done)).front().step == StepNumber{3});
  CHECK(std::get<StepDone>(done).error);
  CHECK(std::get<StepDone>(done).epoch == Epoch{5});
  CHECK(std::get<StagesOpened>(no_room_for(OpenStages{.plan = {.epoch = Epoch{6}}})).error);
  CHECK_FALSE(std::get<StoreFailed>(no_room_for(CheckStore{})).restart);
  CHECK(std::get<ProfileDone>(no_room_for(MeasureProfile{})).report.units.empty());
  CHECK(std::holds_alternative<ComputeEchoed>(no_room_for(EchoCompute{})));
}

TEST_CASE("threads end at once, whatever is queued") {
  const TinyModel model{31};
  const TemporaryDirectory directory;
  Result<std::unique_ptr<ShardStore>> store = ShardStore::open(directory.path());
  StoreThread disk(**store, [] {});
  ComputeThread compute(*runnable_kernels().back(), 1, 8 << 20, **store, [] {});
  for (int i = 0; i < 300; ++i) {
    ComputeThread::Work work = RunStep{};
    StoreThread::Work check = CheckStore{.epoch = Epoch{1}, .tensors = tensor_refs(model, {0, 1})};
    (void)compute.try_push(work);
    (void)disk.try_push(check);  // nobody takes the results: the queues fill up
  }
}

}  // namespace shoal
