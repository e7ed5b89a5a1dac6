#include "simulation/sim_worker.h"

#include <algorithm>

#include "transport/limits.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

constexpr double kOpenSeconds = 0.004;
constexpr double kProfileSeconds = 0.05;

WorkerSettings settings_of(DeviceId id, const SimDevice& device, const SimWorld& world,
                           std::uint64_t instance, const KernelTable& kernels) {
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
  settings.hello.num_threads = 1;
  settings.hello.kernels = kernels.name;
  return settings;
}

}  // namespace

SimWorker::SimWorker(DeviceId id, SimDevice device, Network& network, const SimWorld& world, SimDisk& disk,
                     ShardSource& weights, const KernelTable& kernels, ThreadPool& pool,
                     std::uint64_t instance, Time now)
    : device_(std::move(device)),
      network_(network),
      disk_(disk),
      executor_(kernels, pool, weights),
      state_(make_worker_state(settings_of(id, device_, world, instance, kernels), now)),
      compute_free_(now),
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
  while (!due_.empty() && due_.front().first <= now) {
    WorkerEvent event = std::move(due_.front().second);
    due_.pop_front();
    handle(std::move(event), now);
  }
  if (now - ticked_ < kTick) return;
  ticked_ = now;
  if (compute_free_ > now) ++finished_work_;  // a long step finishes piece by piece, as the pool's work does
  handle(
      SelfMeasured{
          .resident_bytes = 0, .finished_work = finished_work_, .free_kv_blocks = executor_.free_kv_blocks()},
      now);
  handle(Tick{}, now);
}

std::optional<Time> SimWorker::next_due() const {
  const Time tick = ticked_ + kTick;
  return due_.empty() ? tick : std::min(tick, due_.front().first);
}

void SimWorker::handle(WorkerEvent event, Time now) {
  if (exited_) return;
  std::vector<WorkerCommand> commands;
  on_event(state_, std::move(event), now, commands);
  for (WorkerCommand& command : commands) carry_out(std::move(command), now);
}

// The compute thread takes one thing at a time; the disk is quick and keeps the same order.
Time SimWorker::compute_until(Time now, double duration) {
  compute_free_ = std::max(compute_free_, now) + from_seconds(duration);
  return compute_free_;
}

void SimWorker::carry_out(WorkerCommand command, Time now) {
  std::visit(
      [&]<typename C>(C& c) {
        if constexpr (std::is_same_v<C, CheckStore>) {
          later(compute_until(now, device_.disk_seconds), check_disk(c));
        } else if constexpr (std::is_same_v<C, WriteShard>) {
          later(compute_until(now, device_.disk_seconds), write_disk(c));
        } else if constexpr (std::is_same_v<C, OpenStages>) {
          later(compute_until(now, kOpenSeconds), executor_.open(c.plan, c.self));
        } else if constexpr (std::is_same_v<C, RunStep>) {
          const std::size_t rows = c.frame.ids.size();
          const Range units = state_.active->plan.stages[c.frame.stage].units;
          StepDone done = executor_.run(std::move(c.frame));
          done.seconds = device_.seconds_per_unit_row * static_cast<double>(rows * units.size());
          const Time at = compute_until(now, done.seconds);
          later(at, std::move(done));
        } else if constexpr (std::is_same_v<C, MeasureProfile>) {
          later(compute_until(now, kProfileSeconds), ProfileDone{profile(c.request)});
        } else if constexpr (std::is_same_v<C, EchoCompute>) {
          later(compute_until(now, 0), ComputeEchoed{});
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

ProfileReport SimWorker::profile(const ProfileRequest& request) const {
  ProfileReport report{.model = request.model, .units = {}, .read_bytes_per_second = 1e10};
  for (const TensorRef& tensor : request.tensors) {
    if (!report.units.empty() && report.units.back().unit == tensor.unit) continue;
    report.units.push_back({.unit = tensor.unit,
                            .seconds_batch1 = device_.seconds_per_unit_row,
                            .seconds_batch32 = device_.seconds_per_unit_row * 32,
                            .seconds_per_1k_context = 0,
                            .seconds_chunk = device_.seconds_per_unit_row * kProfileChunkRows});
  }
  return report;
}

}  // namespace shoal
