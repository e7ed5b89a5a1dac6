#include "cli/capacity_scenario.h"

#include <algorithm>
#include <filesystem>
#include <thread>

#include "cli/models.h"
#include "coordinator/hub_store.h"
#include "coordinator/served_model.h"
#include "model/gguf.h"
#include "simulation/expected_profile.h"
#include "simulation/model_shapes.h"

namespace shoal {
namespace {

constexpr double kFailuresAfterArrivals = 600;  // seconds in which random failures still happen

ClusterSettings settings_of(const ClusterConfig& config, const ModelConfig& model) {
  ClusterSettings settings;
  settings.min_stages = config.min_stages;
  settings.objective = config.objective == "throughput" ? Objective::Throughput
                       : config.objective == "latency"  ? Objective::Latency
                                                        : Objective::Balanced;
  settings.max_context = std::min(config.context, model.max_seq_len);
  settings.kv_positions = config.kv_positions;
  settings.max_sequences = config.max_sequences;
  settings.scheduler.max_context = settings.max_context;
  for (const DeviceConfig& device : config.devices) {
    if (!device.may_compute) settings.banned.insert(device.name);
  }
  return settings;
}

Result<CapacityDevice> device_of(const DeviceConfig& device, const ServedModel& model,
                                 const MeasuredProfiles& measured) {
  CapacityDevice described{.name = device.name};
  const auto known = measured.find(device.name);
  if (known == measured.end() && !device.device_class) {
    return fail(
        ErrorCode::InvalidArgument,
        "the device " + device.name +
            " has no class, so nobody knows how fast it is: give it one (class: pi5-8gb, for example), or "
            "--measured with the state directory of a hub that measured it");
  }
  if (device.memory_bytes == 0 && !device.device_class) {
    return fail(ErrorCode::InvalidArgument,
                "the device " + device.name + " has neither memory nor a class: say how much it gives");
  }
  described.memory_bytes = device.memory_bytes ? device.memory_bytes : device.device_class->memory_bytes;
  described.num_threads = device.threads ? device.threads : 1;
  if (device.device_class) {
    const DeviceClass& kind = *device.device_class;
    described.kind = kind.name;
    if (device.threads == 0) described.num_threads = kind.threads;
    described.disk_bytes_per_second = kind.figures.disk_bytes_per_second;
    if (kind.power) described.idle_watts = kind.power->idle_watts;
    if (kind.power) described.busy_watts = kind.power->busy_watts;
    described.profile = expected_profile(scaled(kind.figures, device.speed), model);
  }
  if (known != measured.end()) described.profile = known->second;
  return described;
}

SimLink sim_link(const LinkQuality& quality) {
  return {.latency = from_seconds(quality.latency_seconds),
          .jitter = from_seconds(quality.jitter_seconds),
          .bytes_per_second = quality.bytes_per_second,
          .loss = quality.loss};
}

Result<CapacityPipeline> pipeline_of(const ClusterConfig& config, const std::string& group,
                                     const ServedModel& model, const MeasuredProfiles& measured) {
  CapacityPipeline pipeline{.name = group};
  std::vector<const DeviceConfig*> members;
  const DeviceConfig* host = coordinator_host(config, group);
  for (const DeviceConfig& device : config.devices) {
    if (config.pipeline_per_group && device.group != group) continue;
    Result<CapacityDevice> described = device_of(device, model, measured);
    if (!described) return fail(described.error());
    if (&device == host) pipeline.hub_beside = members.size();
    members.push_back(&device);
    pipeline.devices.push_back(*std::move(described));
  }
  pipeline.settings = settings_of(config, model.config);
  pipeline.link = [&config, members](std::size_t from, std::size_t to) {
    const auto at = [&](std::size_t index) { return index < members.size() ? members[index] : nullptr; };
    return sim_link(link_between(config, at(from), at(to)));
  };
  return pipeline;
}

std::vector<PlannedFailure> failures_of(const ClusterConfig& config, const CapacityScenario& scenario) {
  std::vector<std::string> names;
  for (const CapacityPipeline& pipeline : scenario.pipelines) {
    for (std::size_t i = 0; i < pipeline.devices.size(); ++i) {
      const bool takes_hub = pipeline.hub_beside == i && config.failures.random_kind != FailureKind::Process;
      if (!takes_hub) names.push_back(pipeline.devices[i].name);
    }
  }
  const double last = scenario.arrivals.empty() ? 0 : scenario.arrivals.back().at_seconds;
  return make_failures(config.failures, names, last + kFailuresAfterArrivals, scenario.seed);
}

}  // namespace

Result<MeasuredProfiles> read_measured_profiles(const std::string& state_directory,
                                                const ServedModel& model) {
  std::string path = state_directory + "/hub.sqlite";
  std::error_code error;
  if (!std::filesystem::exists(path, error)) path = state_directory + "/coordinator/hub.sqlite";
  if (!std::filesystem::exists(path, error))
    return fail(ErrorCode::NotFound, "no hub's memory (hub.sqlite) is in " + state_directory);
  Result<HubStore> store = HubStore::open(path);
  if (!store) return fail(store.error());
  const Result<std::vector<RememberDevice>> devices = store->devices();
  if (!devices) return fail(devices.error());
  const Result<std::vector<RememberProfile>> profiles = store->profiles();
  if (!profiles) return fail(profiles.error());
  MeasuredProfiles measured;
  for (const RememberProfile& profile : *profiles) {
    if (profile.report.model != model.hash) continue;
    const auto device = std::ranges::find(*devices, profile.public_key, &RememberDevice::public_key);
    if (device != devices->end()) measured[device->name] = profile.report;
  }
  return measured;
}

Result<ServedModel> read_simulated_model(const std::string& name_or_path) {
  const Result<std::string> path = resolve_model(name_or_path);
  if (path) {
    const Result<GgufFile> file = GgufFile::open(*path);
    if (!file) return fail(file.error());
    return read_served_model(*file, std::filesystem::path(*path).stem().string(),
                             std::max(1u, std::thread::hardware_concurrency()));
  }
  if (std::optional<ServedModel> shape = model_of_shape(name_or_path)) return *std::move(shape);
  std::string names;
  for (const std::string& name : known_shapes()) names += (names.empty() ? "" : ", ") + name;
  return fail(ErrorCode::NotFound, "\"" + name_or_path +
                                       "\" is no file here, and of no model by that name the shape is " +
                                       "known (known: " + names + ")");
}

Result<CapacityScenario> scenario_of(const ClusterConfig& config, ServedModel model,
                                     const MeasuredProfiles& measured) {
  CapacityScenario scenario;
  const std::vector<std::string> groups =
      config.pipeline_per_group ? groups_of(config) : std::vector<std::string>{""};
  for (const std::string& group : groups) {
    Result<CapacityPipeline> pipeline = pipeline_of(config, group, model, measured);
    if (!pipeline) return fail(pipeline.error());
    scenario.pipelines.push_back(*std::move(pipeline));
  }
  scenario.model = std::move(model);
  scenario.seed = config.arrivals.seed;
  scenario.arrivals = make_arrivals(config.arrivals);
  scenario.failures = failures_of(config, scenario);
  return scenario;
}

}  // namespace shoal
