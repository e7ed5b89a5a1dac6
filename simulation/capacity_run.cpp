#include "simulation/capacity_run.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/check.h"
#include "coordinator/cluster_view.h"
#include "coordinator/plan_builder.h"
#include "kernels/panels.h"
#include "simulation/random_stream.h"

namespace shoal {
namespace {

// What a message costs beside the wire: two sockets, and encryption at both ends. Measured as what a probe
// finds beyond a test link's own delay: 90 to 150 us.
constexpr Duration kSocketTime = std::chrono::microseconds(100);
// From a worker's reactor to its compute thread and back. Measured as what a token of three stages takes
// beyond what profiles and probes say.
constexpr double kHandOverSeconds = 150e-6;
constexpr double kSameMachineRate = 2e9;  // bytes per second, through the loopback device
constexpr Duration kStartPatience = std::chrono::minutes(30);
constexpr Duration kSampleInterval = std::chrono::milliseconds(100);

TokenText one_word() {
  return {.piece = [](TokenId) { return std::string_view("word "); },
          .is_end_of_text = [](TokenId) { return false; }};
}

// Layers have no bytes here, only sizes.
struct Nobody {};
Bytes zeros(std::size_t size) {
  static const std::vector<std::byte> memory(kMaxShardBytes);
  return Bytes(memory).first(size);
}

SimLink with_sockets(SimLink link) {
  link.latency += kSocketTime;
  return link;
}

}  // namespace

CapacityRun::CapacityRun(const CapacityScenario& scenario, const CapacityPipeline& pipeline,
                         std::vector<RequestTrace>& traces)
    : scenario_(scenario), pipeline_(pipeline), traces_(traces), text_(one_word()) {
  clock_.advance(std::chrono::seconds(1));  // zero means "never" in places
  RandomStream seeds(scenario.seed, "network of " + pipeline.name);
  world_ = std::make_unique<SimWorld>(seeds.next(), clock_);
  for (const TensorRef& tensor : scenario.model.tensors) tensors_.emplace(tensor.sha256, tensor);
  ClusterSettings settings = pipeline.settings;
  settings.expect_devices = static_cast<std::uint32_t>(std::ranges::count_if(
      pipeline.devices, [&](const CapacityDevice& d) { return !settings.banned.contains(d.name); }));
  settings.arithmetic_digest = 1;  // as SimWorker says of itself
  hub_ = std::make_unique<SimHub>(
      scenario.model, settings, text_, world_->add_host(kHub, "hub"),
      [this](const ShardRequest& request) { return shard(request); },
      [this](RequestId id, InferenceEvent event) { deliver(id, std::move(event)); });
  nodes_.resize(pipeline.devices.size());
}
CapacityRun::~CapacityRun() = default;

void CapacityRun::set_links() {
  const std::size_t hub = nodes_.size();
  const std::size_t hub_at = pipeline_.hub_beside.value_or(hub);
  const auto place = [&](std::size_t index) { return index == hub ? hub_at : index; };
  const auto host = [&](std::size_t index) { return index == hub ? kHub : id_of(index); };
  for (std::size_t from = 0; from <= hub; ++from) {
    for (std::size_t to = 0; to <= hub; ++to) {
      if (from == to) continue;
      const bool same_machine = place(from) == place(to);
      const SimLink link = same_machine
                               ? SimLink{.latency = Duration::zero(), .bytes_per_second = kSameMachineRate}
                               : pipeline_.link(place(from), place(to));
      world_->set_link(host(from), host(to), with_sockets(link));
    }
  }
}

// ---- Processes

// A device whose profile the hub knows from an earlier run: what would be measured is what the scenario says.
void CapacityRun::power_on(std::size_t device) {
  const CapacityDevice& described = pipeline_.devices[device];
  const DeviceId id = id_of(device);
  SimDevice sim{.name = described.name, .memory_bytes = described.memory_bytes};
  sim.disk_bytes_per_second = described.disk_bytes_per_second;
  sim.num_threads = described.num_threads;
  sim.hand_over_seconds = kHandOverSeconds;
  sim.tick = kBeatInterval;  // nothing it does is more urgent
  Node& node = nodes_[device];
  Network& network = world_->add_host(id, described.name);
  const std::string key = world_->public_key_of(id);
  hub_->admit(id, described.name, key, {{key, sim.kernels, sim.num_threads, described.profile}});
  node.compute = std::make_unique<TimedCompute>(described.profile, scenario_.model);
  node.worker = std::make_unique<SimWorker>(id, sim, network, *world_, node.disk, *node.compute, ++instances_,
                                            clock_.now());
}

void CapacityRun::power_off(std::size_t device) {
  Node& node = nodes_[device];
  if (!node.worker) return;
  node.retired_busy += node.worker->busy_seconds();
  node.worker.reset();
}

Status CapacityRun::start() {
  for (std::size_t device = 0; device < nodes_.size(); ++device) power_on(device);
  set_links();
  const Time end = clock_.now() + kStartPatience;
  while (hub().phase != Phase::Ready) {
    const bool hopeless = hub().planning_failed || clock_.now() >= end;
    if (hopeless) {
      const ErrorCode code =
          hub().phase == Phase::InsufficientMemory ? ErrorCode::OutOfMemory : ErrorCode::Unavailable;
      return fail(code, hub().detail);
    }
    step(end);
  }
  startup_seconds_ = seconds_since_start();
  return {};
}

void CapacityRun::begin() {
  began_ = sampled_ = clock_.now();
  for (std::size_t device = 0; device < nodes_.size(); ++device)
    nodes_[device].busy_before = busy_in_all(device);
  const std::size_t hub = nodes_.size();
  const auto host = [&](std::size_t index) { return index == hub ? kHub : id_of(index); };
  for (std::size_t from = 0; from <= hub; ++from) {
    for (std::size_t to = 0; to <= hub; ++to)
      use_before_[{host(from), host(to)}] = world_->use_of(host(from), host(to));
  }
}

// ---- Time

// One moment in which something happens, at the latest `until`.
void CapacityRun::step(Time until) {
  Time at = std::min(until, hub_->next_due());
  if (const std::optional<Time> event = world_->next_event_time()) at = std::min(at, *event);
  for (const Node& node : nodes_) {
    if (node.worker) at = std::min(at, node.worker->next_due());
  }
  world_->advance_to(std::max(at, clock_.now()));
  const Time now = clock_.now();
  if (world_->has_unread(kHub) || hub_->next_due() <= now) {
    hub_->run(now);
    watch_.look(hub(), now_seconds());
  }
  for (std::size_t device = 0; device < nodes_.size(); ++device) {
    Node& node = nodes_[device];
    if (node.worker && (world_->has_unread(id_of(device)) || node.worker->next_due() <= now))
      node.worker->run(now);
  }
  if (now - sampled_ >= kSampleInterval) sample();
}

void CapacityRun::run_to(Time until) {
  while (clock_.now() < until) step(until);
}
void CapacityRun::run_until(double at_seconds) { run_to(began_ + from_seconds(at_seconds)); }

void CapacityRun::sample() {
  const Scheduler::Counts counts = hub().scheduler.counts();
  sampled_ = clock_.now();
  samples_ += 1;
  running_sum_ += counts.running;
  waiting_sum_ += counts.queued + counts.parked;
}

// ---- Requests

double CapacityRun::expected_wait() const {
  if (!hub().active || !hub().active_is_whole) return std::numeric_limits<double>::infinity();
  return static_cast<double>(open_ + 1) * hub().active->plan.prediction.seconds_per_token;
}

void CapacityRun::submit(std::size_t trace, const PlannedRequest& planned) {
  InferenceRequest request;
  request.prompt.assign(planned.prompt_tokens, 1);
  request.sampling = usual_sampling();
  request.has_seed = true;
  request.max_tokens = planned.answer_tokens;
  request.ignore_end = true;
  traces_[trace].pipeline = &pipeline_;
  traces_[trace].asked_at = now_seconds();
  traces_[trace].prompt_tokens = planned.prompt_tokens;
  trace_of_.push_back(trace);
  ++open_;
  hub_->submit(std::move(request), clock_.now());
}

void CapacityRun::deliver(RequestId id, InferenceEvent event) {
  RequestTrace& trace = traces_[trace_of_.at(id - 1)];
  if (std::holds_alternative<TokenEvent>(event)) {
    last_token_at_ = now_seconds();
    trace.token_at.push_back(last_token_at_);
    ++tokens_;
    watch_.token(last_token_at_);
    return;
  }
  const auto* failed = std::get_if<FailedEvent>(&event);
  if (!failed && !std::holds_alternative<FinishedEvent>(event)) return;
  trace.ended_at = now_seconds();
  if (failed) trace.failure = failed->message;
  --open_;
}

ShardData CapacityRun::shard(const ShardRequest& request) const {
  ShardData data{
      .tensor = request.tensor, .first_panel = request.first_panel, .num_panels = request.num_panels};
  const TensorRef& tensor = tensors_.at(request.tensor);
  const std::uint64_t row_bytes = gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
  const std::uint64_t first = std::uint64_t{request.first_panel} * kPanelRows;
  const std::uint64_t rows =
      tensor.is_matrix ? std::min(std::uint64_t{request.num_panels} * kPanelRows, tensor.rows - first) : 1;
  const std::uint64_t bytes = rows * row_bytes;
  for (std::uint64_t at = 0; at < bytes; at += kMaxPayloadChunkBytes)
    data.payload.emplace_back(Nobody{}, zeros(std::min<std::uint64_t>(kMaxPayloadChunkBytes, bytes - at)));
  return data;
}

// ---- Failures

std::size_t CapacityRun::index_of(const std::string& device) const {
  const auto found = std::ranges::find(pipeline_.devices, device, &CapacityDevice::name);
  SHOAL_CHECK(found != pipeline_.devices.end());
  return static_cast<std::size_t>(found - pipeline_.devices.begin());
}

void CapacityRun::take_down(const PlannedFailure& failure) {
  const std::size_t device = index_of(failure.device);
  if (nodes_[device].failure) return;
  nodes_[device].failure = failure;
  watch_.begin(failure, pipeline_.name, id_of(device), hub(), now_seconds());
  if (failure.kind == FailureKind::Process) {
    world_->kill(id_of(device));
  } else {
    world_->unplug(id_of(device));
  }
  if (failure.kind == FailureKind::Power) world_->freeze(id_of(device));  // what still arrives, nobody reads
  if (failure.kind != FailureKind::Network) power_off(device);
}

void CapacityRun::bring_back(const PlannedFailure& failure) {
  const std::size_t device = index_of(failure.device);
  if (nodes_[device].failure != failure) return;
  nodes_[device].failure.reset();
  watch_.restored(id_of(device));
  if (failure.kind != FailureKind::Process) world_->plug_in(id_of(device));
  if (failure.kind == FailureKind::Network) return;
  if (failure.kind == FailureKind::Power) world_->kill(id_of(device));  // what it was before it lost power
  power_on(device);
}

// ---- What was used

double CapacityRun::busy_in_all(std::size_t device) const {
  const Node& node = nodes_[device];
  return node.retired_busy + (node.worker ? node.worker->busy_seconds() : 0);
}

double CapacityRun::busy_seconds(std::size_t device) const {
  return busy_in_all(device) - nodes_[device].busy_before;
}

SimLinkUse CapacityRun::use_of(std::size_t from, std::size_t to) const {
  const auto host = [&](std::size_t index) { return index == nodes_.size() ? kHub : id_of(index); };
  SimLinkUse use = world_->use_of(host(from), host(to));
  const SimLinkUse& before = use_before_.at({host(from), host(to)});
  return {use.bytes - before.bytes, use.busy - before.busy};
}

double CapacityRun::mean_rows_per_step() const {
  double steps = 0, rows = 0;
  for (const Node& node : nodes_) {
    if (!node.compute) continue;
    steps += static_cast<double>(node.compute->first_steps());
    rows += static_cast<double>(node.compute->first_rows());
  }
  return steps == 0 ? 1 : std::max(1.0, rows / steps);
}

std::string CapacityRun::holds(std::size_t device) const {
  if (!hub().active) return "";
  return describe_holdings(hub().model.config, *hub().active, id_of(device));
}

}  // namespace shoal
