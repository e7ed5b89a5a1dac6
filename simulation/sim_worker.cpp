#include "simulation/sim_worker.h"

#include <algorithm>

#include "kernels/kernel_table.h"
#include "kernels/panels.h"
#include "transport/limits.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

constexpr double kOpenSeconds = 0.004;
constexpr double kProfileSeconds = 0.05;

WorkerSettings settings_of(DeviceId id, const SimDevice& device, const SimWorld& world,
                           std::uint64_t instance) {
  WorkerSettings settings{.hello = {}, .device = id};
  settings.hello.arithmetic_version = kArithmeticVersion;
  settings.hello.arithmetic_digest = 1;
  settings.hello.panel_layout_version = kPanelLayoutVersion;
  settings.hello.instance = instance;
  settings.hello.name = device.name;
  settings.hello.host = "sim";
  settings.hello.pid = raw(id);
  settings.hello.inbox = world.endpoint_of(id, Lane::Data);
  settings.hello.memory_bytes = device.memory_bytes;
  settings.hello.num_threads = device.num_threads;
  settings.hello.kernels = device.kernels;
  return settings;
}

double write_seconds(const SimDevice& device, const WriteShard& write) {
  if (device.disk_bytes_per_second <= 0) return 0;
  std::size_t bytes = 0;
  for (const Payload& chunk : write.data.payload) bytes += chunk.size();
  return static_cast<double>(bytes) / device.disk_bytes_per_second;
}

}  // namespace

SimWorker::SimWorker(DeviceId id, SimDevice device, Network& network, const SimWorld& world, SimDisk& disk,
                     SimCompute& compute, std::uint64_t instance, Time now)
    : device_(std::move(device)),
      network_(network),
      disk_(disk),
      compute_(compute),
      state_(make_worker_state(settings_of(id, device_, world, instance), now)),
      compute_free_(now),
      disk_free_(now),
      ticked_(now) {
  const std::string& hub_key = world.public_key_of(kHub);
  (void)network_.admit(kHub, hub_key);
  for (const Lane lane : {Lane::Control, Lane::Data, Lane::Bulk}) {
    (void)network_.connect(kHub, lane, world.endpoint_of(kHub, lane), hub_key);
  }
}

void SimWorker::run(Time now) {
  std::vector<NetworkEvent> arrived;
  network_.wait(Duration::zero(), arrived);
  for (NetworkEvent& event : arrived) handle(std::move(event), now);
  while (!due_.empty() && due_.begin()->first <= now) {
    WorkerEvent event = std::move(due_.begin()->second);
    due_.erase(due_.begin());
    handle(std::move(event), now);
  }
  if (now - ticked_ < device_.tick) return;
  ticked_ = now;
  handle(
      SelfMeasured{
          .resident_bytes = 0, .finished_work = finished_work_, .free_kv_blocks = compute_.free_kv_blocks()},
      now);
  handle(Tick{}, now);
}

Time SimWorker::next_due() const {
  const Time tick = ticked_ + device_.tick;
  return due_.empty() ? tick : std::min(tick, due_.begin()->first);
}

void SimWorker::handle(WorkerEvent event, Time now) {
  if (exited_) return;
  std::vector<WorkerCommand> commands;
  on_event(state_, std::move(event), now, commands);
  for (WorkerCommand& command : commands) carry_out(std::move(command), now);
}

// The compute thread takes one thing at a time, and so does the store's.
Time SimWorker::compute_until(Time now, double duration) {
  compute_free_ = std::max(compute_free_, now) + from_seconds(duration);
  return compute_free_;
}
Time SimWorker::disk_until(Time now, double duration) {
  disk_free_ = std::max(disk_free_, now) + from_seconds(duration);
  return disk_free_;
}

void SimWorker::carry_out(WorkerCommand command, Time now) {
  std::visit(
      [&]<typename C>(C& c) {
        if constexpr (std::is_same_v<C, CheckStore>) {
          later(disk_until(now, device_.disk_seconds), check_disk(c));
        } else if constexpr (std::is_same_v<C, WriteShard>) {
          later(disk_until(now, device_.disk_seconds + write_seconds(device_, c)), write_disk(c));
        } else if constexpr (std::is_same_v<C, OpenStages>) {
          later(compute_until(now, kOpenSeconds), compute_.open(c.plan, c.self));
        } else if constexpr (std::is_same_v<C, RunStep>) {
          StepDone done = compute_.run(std::move(c.frame));
          finished_work_ += 1;
          busy_seconds_ += done.seconds;
          const Time at = compute_until(now, done.seconds) + from_seconds(device_.hand_over_seconds);
          later(at, std::move(done));
        } else if constexpr (std::is_same_v<C, MeasureProfile>) {
          later(compute_until(now, kProfileSeconds), ProfileDone{compute_.profile(c.request)});
        } else if constexpr (std::is_same_v<C, Exit>) {
          exited_ = true;
        } else if constexpr (std::is_same_v<C, JoinAgain>) {
          // Simulated keys are registered by hand; the dials go on until the hub admits it.
        } else {
          (void)perform(network_, c);
        }
      },
      command);
}

StoreChecked SimWorker::check_disk(const CheckStore& check) const {
  StoreChecked checked{.epoch = check.epoch};
  for (const TensorRef& tensor : check.tensors) {
    const std::uint32_t num_panels = num_stored_panels(tensor);
    const std::uint64_t panel_size = stored_body_bytes(tensor) / num_panels;
    const auto found = disk_.panels.find(tensor.sha256);
    const std::uint32_t in = found == disk_.panels.end() ? 0 : found->second;
    checked.bytes_total += num_panels * panel_size;
    checked.bytes_present += in * panel_size;
    const bool listed = std::ranges::any_of(
        checked.missing, [&](const MissingTensor& m) { return m.tensor.sha256 == tensor.sha256; });
    if (in < num_panels && !listed) checked.missing.push_back({tensor, in, num_panels, panel_size});
  }
  return checked;
}

ShardWritten SimWorker::write_disk(const WriteShard& write) {
  const std::uint32_t num_panels = num_stored_panels(write.tensor);
  std::uint32_t& in = disk_.panels[write.tensor.sha256];
  in = std::max(in, write.data.first_panel + write.data.num_panels);
  for (const Payload& chunk : write.data.payload) disk_.bytes_received += chunk.size();
  return {.tensor = write.tensor.sha256,
          .first_panel = write.data.first_panel,
          .num_panels = write.data.num_panels,
          .stored_bytes = stored_body_bytes(write.tensor) / num_panels * write.data.num_panels,
          .complete = in >= num_panels};
}

}  // namespace shoal
