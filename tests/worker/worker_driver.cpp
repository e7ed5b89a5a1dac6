#include "tests/worker/worker_driver.h"

#include <doctest/doctest.h>

#include <cstring>

namespace shoal {

WorkerDriver::WorkerDriver() {
  WorkerSettings settings{.hello = {}, .device = kSelf};
  settings.hello.name = "tested";
  settings.hello.inbox = "tcp://127.0.0.1:4000";
  state = make_worker_state(std::move(settings), now);
}

void WorkerDriver::feed(WorkerEvent event) { on_event(state, std::move(event), now, commands); }

void WorkerDriver::tick(Duration after) {
  now += after;
  feed(Tick{});
}

void WorkerDriver::run_plan(const PlanMessage& plan) {
  feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
  hear(Welcome{kSelf, {}});
  hear(plan);
  REQUIRE(count<CheckStore>() == 1);
  feed(StoreChecked{.epoch = plan.epoch, .bytes_total = 10, .bytes_present = 10, .missing = {}});
  hear(Activate{plan.epoch});
  REQUIRE(count<OpenStages>() == 1);
  feed(StagesOpened{.epoch = plan.epoch, .scratch_bytes = 5, .kv_bytes = 6, .error = {}});
  clear();
}

StepFrame copy_of(const StepFrame& frame) {
  StepFrame copy;
  copy_header(frame, copy);
  for (const Payload& chunk : frame.payload) copy.payload.push_back(Payload::copy_of(chunk.bytes()));
  return copy;
}

RowGroup group_of(std::uint64_t sequence, std::uint64_t step, std::uint32_t position, std::uint32_t rows,
                  std::uint32_t flags) {
  return {.sequence = SequenceId{sequence},
          .step = StepNumber{step},
          .first_position = position,
          .num_rows = rows,
          .flags = flags};
}

StepFrame frame_of(Epoch epoch, std::uint32_t stage, std::vector<RowGroup> groups,
                   std::size_t floats_per_row) {
  StepFrame frame;
  frame.epoch = epoch;
  frame.pipeline = PipelineId{1};
  frame.stage = stage;
  frame.groups = std::move(groups);
  for (const RowGroup& group : frame.groups) {
    for (std::uint32_t i = 0; i < group.num_rows; ++i)
      frame.ids.push_back(static_cast<TokenId>(group.first_position + i));
  }
  std::vector<float> values(frame.ids.size() * floats_per_row);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  if (values.empty()) return frame;
  frame.dtype = Dtype::F32;
  frame.payload.push_back(Payload::copy_of(std::as_bytes(std::span(values))));
  return frame;
}

}  // namespace shoal
