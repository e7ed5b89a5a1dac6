#include "simulation/sim_cluster.h"

#include <algorithm>

#include "coordinator/served_model.h"
#include "model/gguf_shard_source.h"
#include "transport/limits.h"

namespace shoal {
namespace {

// Readable, and enough to test texts: every id is a word.
TokenText words() {
  return {.piece =
              [](TokenId id) {
                static thread_local std::string word;
                word = "<" + std::to_string(id) + ">";
                return std::string_view(word);
              },
          .is_end_of_text = [](TokenId) { return false; }};
}

DeviceId device_id(std::size_t index) { return static_cast<DeviceId>(index + 1); }

}  // namespace

SimCluster::SimCluster(SimClusterOptions options) : options_(std::move(options)), text_(words()) {
  clock_.advance(std::chrono::seconds(1));  // zero means "never" in places
}
SimCluster::~SimCluster() = default;

Result<std::unique_ptr<SimCluster>> SimCluster::open(SimClusterOptions options) {
  std::unique_ptr<SimCluster> cluster(new SimCluster(std::move(options)));
  const Result<const KernelTable*> kernels = choose_kernels(cluster->options_.kernels);
  if (!kernels) return fail(kernels.error());
  cluster->kernels_ = *kernels;
  cluster->pool_ = std::make_unique<ThreadPool>(1);
  Result<GgufFile> file = GgufFile::open(cluster->options_.model_path);
  if (!file) return fail(file.error());
  cluster->file_ = std::make_unique<GgufFile>(*std::move(file));
  Result<ServedModel> model = read_served_model(*cluster->file_, "sim", 1);
  if (!model) return fail(model.error());
  cluster->weights_ = std::make_unique<GgufShardSource>(*cluster->file_, *cluster->pool_);

  cluster->world_ = std::make_unique<SimWorld>(cluster->options_.seed, cluster->clock_);
  Network& network = cluster->world_->add_host(kHub, "hub");
  ClusterSettings settings = cluster->options_.settings;
  settings.arithmetic_digest = 1;
  const auto is_present = [](const SimDevice& device) { return device.is_present; };
  settings.expect_devices =
      static_cast<std::uint32_t>(std::ranges::count_if(cluster->options_.devices, is_present));
  settings.scheduler.max_context = settings.max_context;
  cluster->shards_ = std::make_unique<ShardServer>(*cluster->file_, model->tensors);
  SimCluster* self = cluster.get();
  cluster->hub_ = std::make_unique<SimHub>(
      *std::move(model), settings, cluster->text_, network,
      [self](const ShardRequest& request) { return self->shards_->answer(request); },
      [self](RequestId id, InferenceEvent event) { self->answers_[id].push_back(std::move(event)); });
  for (std::size_t i = 0; i < cluster->options_.devices.size(); ++i) {
    if (is_present(cluster->options_.devices[i])) cluster->start(device_id(i));
  }
  return cluster;
}

void SimCluster::start(DeviceId device) {
  const SimDevice& description = options_.devices[raw(device) - 1];
  workers_.erase(device);
  Network& network = world_->add_host(device, description.name);
  hub_->admit(device, description.name, world_->public_key_of(device), {});
  compute_[device] =
      std::make_unique<RealCompute>(*kernels_, *pool_, *weights_, description.seconds_per_unit_row);
  workers_[device] = std::make_unique<SimWorker>(device, description, network, *world_, disks_[device],
                                                 *compute_[device], ++instances_, now());
}

void SimCluster::kill(DeviceId device) {
  world_->kill(device);
  workers_.erase(device);
}

void SimCluster::set_speed(DeviceId device, double seconds_per_unit_row) {
  options_.devices[raw(device) - 1].seconds_per_unit_row = seconds_per_unit_row;
  if (const auto compute = compute_.find(device); compute != compute_.end())
    compute->second->set_speed(seconds_per_unit_row);
}

RequestId SimCluster::submit(InferenceRequest request) { return hub_->submit(std::move(request), now()); }
void SimCluster::cancel(RequestId id) { hub_->cancel(id, now()); }

// One moment in which something happens, at the latest `until`.
void SimCluster::step(Time until) {
  Time at = until;
  if (!world_->is_frozen(kHub)) at = std::min(at, hub_->next_due());
  if (const std::optional<Time> event = world_->next_event_time()) at = std::min(at, *event);
  for (const auto& [id, worker] : workers_) {
    if (world_->is_frozen(id)) continue;
    at = std::min(at, worker->next_due());
  }
  world_->advance_to(std::max(at, now()));
  if (!world_->is_frozen(kHub)) hub_->run(now());
  for (const auto& [id, worker] : workers_) {
    if (!world_->is_frozen(id)) worker->run(now());
  }
  std::erase_if(workers_, [&](const auto& worker) {
    if (worker.second->exited()) world_->kill(worker.first);
    return worker.second->exited();
  });
}

bool SimCluster::run_until(const std::function<bool()>& condition, Duration limit) {
  const Time end = now() + limit;
  while (!condition()) {
    if (now() >= end) return false;
    step(end);
  }
  return true;
}

void SimCluster::run_for(Duration duration) {
  const Time end = now() + duration;
  while (now() < end) step(end);
}

bool SimCluster::run_until_serving(Duration limit) {
  return run_until([&] { return hub().phase == Phase::Ready; }, limit);
}

SimCluster::Answer SimCluster::answer(RequestId id) {
  Answer answer;
  for (const InferenceEvent& event : events_of(id)) {
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      answer.tokens.push_back(token->id);
      answer.logprobs.push_back(token->logprob);
      answer.text += token->text;
    } else if (const auto* prompt = std::get_if<PromptTokenEvent>(&event)) {
      answer.logprobs.push_back(prompt->logprob);
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      answer.finished = true;
      answer.text += finished->text;
      answer.digest = finished->digest;
    } else if (const auto* failed = std::get_if<FailedEvent>(&event)) {
      answer.failed = true;
      answer.error = failed->message;
    }
  }
  return answer;
}

std::size_t SimCluster::num_plan_stages() const {
  return hub().active ? hub().active->plan.stages.size() : 0;
}

}  // namespace shoal
